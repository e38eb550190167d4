import type { SchemaRegistryConfig } from '../../config/config.js';
import { SchemaRegistry } from '../../formats/schemaRegistry.js';
import type { Finding } from './finding.js';

/** Asks the schema registry whether it answers as one. @throws RegistryError that says what to do */
export async function checkRegistry(config: SchemaRegistryConfig): Promise<Finding[]> {
  const registry = new SchemaRegistry(config);
  try {
    await registry.check();
    return [];
  } finally {
    registry.close();
  }
}
