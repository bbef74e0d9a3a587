"""What is deployed beside the packages: Kafka for development, examples of configuration."""
