-- The demo's tables. The columns with an underscore are the identity of a record: by them a repeated insert finds what is
-- there. `ktb setup --from-sample 1000` proposes such a table for records of yours.
--
-- MergeTree, not ReplacingMergeTree: the demo counts doubled rows, and none may be merged away before.

CREATE TABLE flights (
  id UInt32,
  date DateTime,
  delay Int16,
  distance UInt16,
  origin LowCardinality(String),
  destination LowCardinality(String),
  _topic LowCardinality(String),
  _partition UInt32,
  _offset UInt64,
  _timestamp DateTime64(3),
  _key String,
  _epoch LowCardinality(String)
) ENGINE = MergeTree
ORDER BY (_topic, _partition, _epoch, _offset)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE earthquakes (
  id String,
  magnitude Float32,
  place String,
  happened_at DateTime64(3),
  depth_km Float32,
  geometry Tuple(type LowCardinality(String), coordinates Array(Float64)),
  _topic LowCardinality(String),
  _partition UInt32,
  _offset UInt64,
  _timestamp DateTime64(3),
  _key String,
  _epoch LowCardinality(String)
) ENGINE = MergeTree
ORDER BY (_topic, _partition, _epoch, _offset)
SETTINGS non_replicated_deduplication_window = 1000;
