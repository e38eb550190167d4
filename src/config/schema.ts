import { z } from 'zod';
import { isPort, PORT_TOO_HIGH } from './addresses.js';
import { clickhouse, kafka, schemaRegistry, temporal } from './connectionSchemas.js';
import { pipeline } from './pipelineSchema.js';
import { count, duration, secret } from './valueSchemas.js';

const pipelineName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, { error: 'a pipeline is named with a-z, 0-9, dash, underscore; 63 at most' });

/** The configuration file. Everything except the pipelines has a default that works on one machine. */
export const configSchema = z.strictObject({
  installation: z
    .string()
    .regex(/^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$/, {
      error: 'must be a name of a-z, A-Z, 0-9, dot, dash, underscore; 63 at most',
    })
    .optional()
    .describe(
      'Name of this installation (one Kafka and one database of ClickHouse), the same for all its daemons. Several may share a namespace of Temporal. ' +
        'Default: found out by the cluster id of Kafka and ids of ClickHouse. Set it if these change and the data do not.',
    ),
  kafka: kafka.prefault({}),
  temporal: temporal.prefault({}),
  clickhouse: clickhouse.prefault({}),
  schemaRegistry: schemaRegistry.optional(),
  pipelines: z
    .record(pipelineName, pipeline)
    .refine((pipelines) => Object.keys(pipelines).length > 0, { error: 'must have at least one pipeline' }),
  worker: z
    .strictObject({
      maxConcurrentFlushes: count({ min: 1, max: 1_000 })
        .prefault(3)
        .describe(
          'Batches that a worker inserts at the same time. Each is held in memory. Of small batches, up to 128KiB in memory, eight count as one. ' +
            'A pipeline without one gets one more.',
        ),
    })
    .prefault({}),
  http: z
    .strictObject({
      listen: z
        .string()
        .regex(/^[^\s]*:\d{1,5}$/, { error: 'must be address:port, such as 10.1.2.3:9464, or :9464 for all addresses' })
        .refine(isPort, { error: PORT_TOO_HIGH })
        .default(':9464')
        .describe(
          'Address of /livez, /readyz and /metrics. Without a host it is all addresses, IPv6 too. Port 0 takes a free one.',
        ),
      metricsToken: secret
        .optional()
        .describe(
          'Bearer token that /metrics wants; usually "${file:/path/token}". /livez and /readyz stay open, and so does temporalListen.',
        ),
      temporalListen: z
        .string()
        .regex(/^(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-fA-F:.]+\]):[1-9]\d{0,4}$/, {
          error: 'must be an IP address and a port, such as 0.0.0.0:9465',
        })
        .refine(isPort, { error: PORT_TOO_HIGH })
        .optional()
        .describe("Address of the Temporal SDK's own /metrics. Without it they are not served."),
    })
    .prefault({}),
  log: z
    .strictObject({
      level: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('Least severity that is logged.'),
      format: z
        .enum(['auto', 'json', 'pretty'])
        .default('auto')
        .describe('auto: pretty on a terminal, JSON lines elsewhere.'),
    })
    .prefault({}),
  shutdown: z
    .strictObject({
      deadline: duration({ min: '1s', max: '10m' })
        .prefault('25s')
        .describe('How long the drain after SIGTERM may take. What is not done by then is done after the next start.'),
    })
    .prefault({}),
});

/** A valid configuration file, before defaults are filled in. */
export type ConfigInput = z.input<typeof configSchema>;

/** A parsed configuration file: defaults filled in, durations in milliseconds, sizes in bytes. */
export type ParsedConfig = z.output<typeof configSchema>;
