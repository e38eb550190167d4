import java.time.Duration;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.springframework.kafka.core.DefaultKafkaConsumerFactory;
import org.springframework.kafka.core.DefaultKafkaProducerFactory;
import org.springframework.kafka.listener.ContainerProperties;
import org.springframework.kafka.listener.KafkaMessageListenerContainer;
import org.springframework.kafka.requestreply.ReplyingKafkaTemplate;
import org.springframework.kafka.support.TopicPartitionOffset;

/**
 * Spring Kafka's own request-reply client, with nothing changed: sends each value given and prints the reply to it.
 *
 * Arguments: brokers, topic, reply topic, the partition that replies are awaited on (-1: whichever the group gives), values.
 */
public class SpringRequester {
  public static void main(String[] arguments) {
    try {
      request(arguments);
      System.exit(0);
    } catch (Exception error) {
      // Spring's threads would keep the process alive.
      error.printStackTrace();
      System.exit(1);
    }
  }

  private static void request(String[] arguments) throws Exception {
    String brokers = arguments[0];
    String topic = arguments[1];
    String replyTopic = arguments[2];
    int partition = Integer.parseInt(arguments[3]);
    var producers = new DefaultKafkaProducerFactory<String, String>(
        Map.of(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, brokers), new StringSerializer(), new StringSerializer());
    var consumers = new DefaultKafkaConsumerFactory<String, String>(
        Map.of(
            ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, brokers,
            ConsumerConfig.GROUP_ID_CONFIG, replyTopic + ".spring",
            ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest"),
        new StringDeserializer(), new StringDeserializer());
    var properties = partition < 0
        ? new ContainerProperties(replyTopic)
        : new ContainerProperties(new TopicPartitionOffset(replyTopic, partition));
    var template = new ReplyingKafkaTemplate<String, String, String>(
        producers, new KafkaMessageListenerContainer<>(consumers, properties));
    template.setDefaultReplyTimeout(Duration.ofSeconds(60));
    template.start();
    if (partition < 0 && !template.waitForAssignment(Duration.ofSeconds(60))) throw new IllegalStateException("no assignment");
    for (int index = 4; index < arguments.length; index++) {
      var request = new ProducerRecord<>(topic, "spring-" + index, arguments[index]);
      ConsumerRecord<String, String> reply = template.sendAndReceive(request).get(90, TimeUnit.SECONDS);
      System.out.println("reply " + reply.partition() + " " + reply.value());
    }
    template.stop();
    template.destroy();
    producers.destroy();
  }
}
