//! Streaming: Kafka records into channels of the warehouse, exactly once.
