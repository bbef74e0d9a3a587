"""Apache Kafka on this machine, for development, the demo and the tests.

`kafka.py` is its command line, `cluster.KafkaCluster` its one class.
"""
