/**
 * The versions of everything the local stack downloads, builds or pulls, in one place. `chdb` and `@temporalio/testing`
 * are npm packages: package.json pins them.
 */
export const VERSIONS = {
  /** Apache Kafka, for Maven Central (`org.apache.kafka:kafka_2.13`) and for the image `apache/kafka`. */
  kafka: '4.3.0',
  /** The logging backend of Kafka's jars: the one its own distribution ships, which the jars do not depend on. */
  log4j: '2.25.4',
  /** Temporal CLI, whose `server start-dev` is the Temporal part. The newest one that `go install` accepts. */
  temporalCli: '1.5.1',
  /** The server inside that CLI; a CLI built from source reports only this one. */
  temporalServer: '1.29.1',
  /** Go release that the Temporal CLI's go.mod asks for. */
  goForTemporalCli: '1.26',
  /** Temporal's time-skipping test server (`io.temporal:temporal-test-server`). */
  temporalTestServer: '1.31.0',
  /** ClickHouse line of the image; npm's `chdb` holds an engine of the same line. */
  clickhouse: '26.7',
  /** Lowest Java release that Kafka's broker runs on. */
  java: 17,
  /** The line of the logging interface that the test server's jars are for. */
  slf4j: '1.7.36',
  mavenDependencyPlugin: '3.8.1',
} as const;
