-- The table of the pipeline `orders`. The columns with an underscore are the identity of a record: by them a repeated insert
-- finds what is there.
CREATE TABLE IF NOT EXISTS orders (
  id UInt64,
  customer String,
  amount Decimal(12, 2),
  _topic LowCardinality(String),
  _partition UInt32,
  _offset UInt64,
  _timestamp DateTime64(3),
  _key String,
  _epoch LowCardinality(String)
) ENGINE = ReplacingMergeTree
ORDER BY (_topic, _partition, _epoch, _offset)
SETTINGS non_replicated_deduplication_window = 1000;
