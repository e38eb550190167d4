# Writes server.properties from the environment (KAFKA_NODE_ID becomes node.id), formats the storage once, starts the broker.
set -eu
properties=/opt/kafka/server.properties
env | sed -n 's/^KAFKA_//p' | grep -v '^HEAP_OPTS=' | while IFS='=' read -r name value; do
  printf '%s=%s\n' "$(printf '%s' "$name" | tr 'A-Z_' 'a-z.')" "$value"
done > "$properties"

set -- /opt/java/bin/java -Dlog4j2.configurationFile=/opt/kafka/log4j2.properties -cp '/opt/kafka/jars/*' ${KAFKA_HEAP_OPTS:-}
if [ ! -e /var/lib/kafka/data/meta.properties ]; then
  "$@" kafka.tools.StorageTool format -t "$CLUSTER_ID" -c "$properties"
fi
exec "$@" kafka.Kafka "$properties"
