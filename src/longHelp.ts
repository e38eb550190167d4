import type { ControlAction } from './protocol/batcher.js';

type HelpOf = 'ktb' | 'run' | 'setup' | 'check' | 'status' | 'where' | 'reconcile' | 'codecServer' | 'rewind';
type HelpOfDlq = 'dlq' | 'dlqShow' | 'dlqReplay';

/** The help that all control commands share. */
const CONTROL_HELP = `
Without --pipeline it means all pipelines. --batcher is an index of the present
layout, or a whole workflow id, also of an earlier layout.

What the answers mean: docs/operations.md#steering-batchers
`;

/**
 * The text of `ktb <command> --help` after the options, by command. It is plain text. Lines indented by two spaces are
 * an example or a table, and become a block in `docs/commands.md`.
 */
export const LONG_HELP: Readonly<Record<HelpOf | HelpOfDlq | ControlAction, string>> = {
  ktb: `
Exit codes: 0 done, 1 failed, 2 the configuration or the command line is wrong.

All commands read the configuration file, except codec-server, config schema,
config example and config docs.`,

  run: `
Consumers and workers run in one process, or in separate ones:

  ktb run --role consumer
  ktb run --role worker

SIGTERM drains: what was read is sent to Temporal and committed before the
process ends.

A changed configuration file is used without a restart, as far as that can be
done: docs/configuration.md#changes-without-a-restart. SIGHUP has it read at once.`,

  setup: `
A topic that is created has the brokers' default number of copies. See first what
it would do:

  ktb setup --dry-run --from-sample 1000
  ktb setup --from-sample 1000`,

  check: `
It changes nothing. A finding is ok, a warning (it works, but not for ever, or
not as well as it could) or wrong (records wait or get lost; exit code 1). It
checks

- the configuration;
- Kafka: each topic's partitions, copies, retention, compaction and message
  limit, against what a signal and a dead letter can hold; whether the group may
  be read;
- Temporal: the namespace's retention, within which a closed run must be taken
  over, whether workers poll for work, and whether batchers encrypt with a key that
  the configuration lacks;
- ClickHouse: mapped columns, identity columns, their types, whether they can be
  looked up quickly, the deduplication window, topics that share a table because
  of their names, and whether the user may insert and look up (by an insert
  without rows and a look-up of no record).

It cannot find out whether a topic may be written.`,

  status: `
It asks Kafka and Temporal. If one is down, it takes up to 20 seconds and names
it (exit code 1). If Temporal takes connections but does not answer, the command
ends some 20 seconds after it has printed that. About ClickHouse it shows the
last answer that each batcher got. Use ktb check to see whether ClickHouse
answers now.

A batcher is accepting, flushing, paused or draining, or

  silent       no worker answers for it; the server still knows the size of its
               history
  holding      it stays in its run, after ten runs in which nothing was handled

If its run has ended, the state says how (completed, terminated). A batcher that
has had no record yet is not started.

--watch prints the same every 2 seconds, with records and rows per second. With
--json that is one line each time.`,

  where: `
Topic, partition and offset are those in an acknowledgement or a dead letter:

  ktb where orders/3/12345

It prints the pipelines that have the record, and its state in each:

  waiting      in Kafka, or in the lane of a consumer; no batcher has accepted it
  accepted     held by a batcher: buffered, or left by a closed run
               (exit code 1 if in a chunk that cannot be unpacked)
  flushing     in a batch that is being flushed
  inserted     it has a row
  rejected     it has a dead letter
  skipped      the pipeline skips it: it has no value, where leaves it out, or its
               value names no table (otherwise: skip)
  missing      neither a row nor a dead letter, although it was accepted, or is before
               the committed offset (exit code 1)
  notWritten   not there yet: the log ends before it
  noRecord     the offset is a mark of a transaction, or compacted away
  removed      no longer in the log, and no other trace of it is left
  unreadable   nobody can read its record batch; the daemon passes over it (exit code 1)
  unknown      a part does not answer; it is named (exit code 1)

If a missing record was acknowledged as inserted, its row was removed later:
merged, expired by a TTL, or deleted.

A record before the committed offset that no batcher knows is missing, too. It was
lost, or it was not to be read: from before startFrom, or before an offset that was
reset. Only the text says so: the state in --json and the exit code are those of a
record that is lost.

An acknowledgement says neither epoch nor timestamp. So where the offset was
accepted under another epoch, too, it is shown, but alone it decides nothing. A
changed layout since then is no such case.

It also shows the batcher with its run, the batch with the deduplication token of
the first insert, the row, where the acknowledgement is, and the dead letter.

--values also prints the key and the value, decoded if the pipeline's format is Avro,
Protobuf or JSON Schema. What does not decode is printed as it came, with the reason.

It reads the log, the batcher's history (no worker is needed), the table, and the
reply and dead-letter topics from the record's own time on. That takes some ten
seconds. Only if something is not found there does it read them from their start.
It looks for the batch in the 20 runs before the acknowledgement.`,

  reconcile: `
It reads the log up to the committed offsets, and looks for each record's row,
dead letter and acknowledgement. What batchers hold is no gap.

  ktb reconcile orders
  ktb reconcile orders --from 2026-01-31T00:00:00Z --to 2026-02-01T00:00:00Z --partition orders/3

A time is compared with the records' own timestamps, as in ktb rewind.

Without --from it begins at the first offset that a batcher knows of, and says so
if the log has earlier ones. After a loss of Temporal's data no batcher knows what
was read before: say --from. If no batcher knows a partition that has committed
offsets, nothing is compared there, and the exit code is 1. With startFrom: latest
this is so for a partition without a record since the first start, too: say the
time of the first start. Nor is a partition compared for which the group has no
offset (not read yet, or lost, or another groupId). It gets a line. The exit code
is 1 if a batcher knows the partition, or with --from.

Exit code 1 if records are missing, have more than one row under one epoch, are
not acknowledged, cannot be read by anybody, so that the daemon passes over
them, or are held in a chunk that cannot be unpacked, until its batch is given
up. Their offsets are named. Rows that were deleted count as
not there, and so do acknowledgements and dead letters that the retention of
their topics has removed.

A row of another epoch than the committed one counts only if it has the record's
timestamp (to the second). One of the committed epoch counts unless it has
another timestamp. A timestamp of 1970 says nothing there (the row may be older
than the column \`_timestamp\`), nor does any if the record has none. So what is
left of a topic that was recreated hides nothing; of its acknowledgements this
cannot be told. Records that were accepted under the committed epoch, and have
rows of other epochs only, are named, but are not missing: \`ktb rewind\` leaves
what the table has. If the offsets were reset to ingest them again, their new
rows are missing.

It keeps five bytes for each offset, for at most 100 million offsets.`,

  codecServer: `
Signals and flushes carry packed records, which Temporal shows as bytes. This
serves Temporal's codec server protocol (/decode, /encode), also under a path
such as /<namespace>/decode. It shows topic, partition, offset, key, headers and
value of each record (up to 1,000 for each payload). A large flush only names its
chunks: its records are in the signals before it.

  KTB_CODEC_TOKEN=... ktb codec-server --listen 0.0.0.0:8081 --origin https://temporal.example.com
  temporal --codec-endpoint http://localhost:8081 --codec-auth "Bearer ..." workflow show ...

Whoever may send it requests can read all records whose packed form they have. So
it listens only on this machine, unless requests need a token. There are two kinds.
Both come as "Authorization: Bearer <token>", and either or both may be set:

- The token of --token-file, one for all: for the Temporal CLI, and for a proxy that
  knows its users. Who asked says the header of --user-header, which the proxy sets.
  The file is read at the start.
- A user's own access token, which the Temporal UI sends ("pass access token"). It
  must be a JWT with an asymmetric signature (RS256, PS256, ES256, EdDSA and so on)
  by the issuer, for the audience, and valid now. Clocks may differ by 30 s.
  The options for it: docs/encryption.md#reading-it

If payloads are encrypted (temporal.encryption), --config names the file with the
keys. Nothing else of it is read. Each decoding is logged: who asked, from where,
how many payloads, and how many of them were decrypted.

Requests of pages of other origins than those of --origin are refused (default: the UI of
Temporal's dev server, http://localhost:8233), and without a token also requests for
another host than localhost: a stranger's page may have its name lead to this machine.
What one request asks for is unpacked up to 128 MiB, the rest is left packed.`,

  pause: `
A paused batcher takes records and does not flush them. Once its history is full
the consumers stop, and Kafka holds the backlog.

  ktb pause --pipeline orders --reason "migrating the table"
${CONTROL_HELP}`,

  resume: `
  ktb resume --pipeline orders --reason "migrated"
${CONTROL_HELP}`,

  flush: `
A paused batcher flushes once it is resumed.

  ktb flush --reason "the report is due"
${CONTROL_HELP}`,

  drain: `
Temporal forgets a drained batcher after the namespace's retention, and what it has
accepted. If the group's offsets are lost after that, its records are read again
and become second rows: keep the offsets, or set them before you start.

  ktb drain --pipeline orders --batcher 1 --reason "looking at its history"
${CONTROL_HELP}`,

  park: `
A batch whose insert fails is tried again until it succeeds. It holds the batches
after it, so that keys keep their order. If you mend the table, it goes on by
itself. If you cannot, give the batch up:

  ktb park --pipeline orders --batcher 1 --reason "the column is gone for good"
  ktb dlq list orders
  ktb dlq replay orders --code parked

An index needs --pipeline if there are several.

The batcher cancels the insert, looks up which records of the batch are in the
table, and acknowledges these as inserted. The others go to the dead-letter topic
unchanged. They are acknowledged as rejected, with the code parked and the reason
in the message. Whoever reads the acknowledgements sees the reason. Then the next
batch follows. You may have to give it up too.

The answers are told, already (there is no such batch, or it is being given up)
and failed (its insert has not failed, or it waits for Kafka, and park does not
help). When and what is given up: docs/operations.md#giving-a-batch-up`,

  rewind: `
Stop the consumers first. By default it inserts only what the table lacks. With
--again it ingests everything again, as new records:

  ktb rewind orders --to 2026-01-31T00:00:00Z --dry-run
  ktb rewind orders --to 2026-01-31T00:00:00Z
  ktb rewind orders --to 2026-01-31T00:00:00Z --again

A time is compared with the records' own timestamps. Their producers set them,
unless the topic has message.timestamp.type=LogAppendTime. If they may be older
than the records were written (event time, backfills, mirrored topics), use
--to earliest or an offset. Without --again that costs time, but doubles no row.
Every record that is read again is acknowledged again, with and without --again.

Exit code 1 if a partition is left for a problem, such as having no leader. Its
line says what to do. A partition with nothing to go back to is no problem. If
Kafka takes only a part of the commit, it says which partitions have gone back.

When to use which: docs/operations.md#temporals-data-is-lost`,

  dlq: `
  ktb dlq list
  ktb dlq show orders --code not_json --values
  ktb dlq replay orders --record orders/3/12345 --dry-run
  ktb dlq replay orders --code unknown_field

The three commands cannot read past the beginning of an open transaction. Then
they print how far they came, with exit code 1. They pass over letters that nobody
can read, and print that, also with exit code 1.`,

  dlqShow: `
If a dead letter lacks a part of its record, it says so:
docs/operations.md#dead-letters`,

  dlqReplay: `
It needs --code, --record (as it was read) or --all.

A replayed record is a new record of its topic, with its key and headers, and is
answered like any other. Its dead letter stays on the dead-letter topic. All readers
of the topic get it again: other pipelines, which may have a row of it already, and
other installations and programs. It names the other pipelines of the configuration.
Where the latest change of a row wins by its offset (debezium.version: offset), a
replayed record gets the offset that it had at first in the header
ktb.replayed.offset, and that one counts.

It does not replay foreign signals, records whose topic is no longer an
input topic, and records that lack a part (docs/operations.md#dead-letters). It
counts them, with exit code 1. It names the records that their topic refuses,
such as those that are larger than it takes.

The same command replays the same records again, and their rows come twice. So it
prints with which --after (a place on the dead-letter topic, one for each partition)
the same command replays only later dead letters.

Ctrl-C or SIGTERM ends it after the portion that is on its way. Then, after an error,
and if a transaction is open on the dead-letter topic, it says how much was replayed,
and with which --after the same command goes on. After an error, some of the last
records may be replayed twice: it says how many. If a topic refuses a record, those
that were sent with it may be replayed twice, too.`,
};
