"""librdkafka's mock cluster, by the library that comes with confluent-kafka: it speaks
Kafka's protocol and keeps messages in memory. Prints the addresses of its brokers, and does
what it is told by lines on stdin, each of which it answers with a line. Ends with stdin."""

import ctypes
import glob
import os
import sys

import confluent_kafka

folder = os.path.dirname(confluent_kafka.__file__)
[library] = glob.glob(os.path.join(folder, "..", "confluent_kafka.libs", "librdkafka-*"))
kafka = ctypes.CDLL(library)
PRODUCER = 0
error = ctypes.create_string_buffer(512)
kafka.rd_kafka_new.restype = ctypes.c_void_p
client = ctypes.c_void_p(kafka.rd_kafka_new(PRODUCER, None, error, ctypes.c_size_t(512)))
kafka.rd_kafka_mock_cluster_new.restype = ctypes.c_void_p
cluster = ctypes.c_void_p(kafka.rd_kafka_mock_cluster_new(client, 2))
kafka.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
print(kafka.rd_kafka_mock_cluster_bootstraps(cluster).decode(), flush=True)

for line in sys.stdin:
    match line.split():
        case ["topic", name, partitions]:
            done = kafka.rd_kafka_mock_topic_create(cluster, name.encode(), int(partitions), 1)
        case ["down", broker]:
            done = kafka.rd_kafka_mock_broker_set_down(cluster, int(broker))
        case ["up", broker]:
            done = kafka.rd_kafka_mock_broker_set_up(cluster, int(broker))
        case ["error", name, code]:
            done = kafka.rd_kafka_mock_topic_set_error(cluster, name.encode(), int(code)) or 0
        case _:
            sys.exit(f"no command: {line}")
    print(done, flush=True)
