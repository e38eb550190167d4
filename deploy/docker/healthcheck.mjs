// Asks the daemon in this container whether it is alive, where its configuration (KTB_CONFIG) says that it listens. As an
// orchestrator kills what is unhealthy, this does not depend on Kafka, Temporal or ClickHouse.
import { loadConfig } from './dist/config/load.js';

const WITHIN_MS = 4_000;
const EVERYWHERE = ['', '0.0.0.0', '::'];

const { host, port } = loadConfig(process.env.KTB_CONFIG).http;
const address = EVERYWHERE.includes(host) ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
const { status } = await fetch(`http://${address}:${port}/livez`, { signal: AbortSignal.timeout(WITHIN_MS) });
if (status !== 200) throw new Error(`/livez answers ${status}`);
