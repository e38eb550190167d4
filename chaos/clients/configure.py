"""Sets settings of a topic, or takes those back that are empty: {"brokers", "topic", "settings"}."""

from common import arguments
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

options = arguments()
entries = [
    ConfigEntry(
        name,
        value or None,
        incremental_operation=AlterConfigOpType.SET if value else AlterConfigOpType.DELETE,
    )
    for name, value in options["settings"].items()
]
resource = ConfigResource(ResourceType.TOPIC, options["topic"], incremental_configs=entries)
admin = AdminClient({"bootstrap.servers": options["brokers"]})
admin.incremental_alter_configs([resource], request_timeout=10)[resource].result(20)
