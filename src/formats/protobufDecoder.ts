import type { Decoder } from './avroDecoder.js';
import type { JsonWriter } from './jsonWriter.js';
import { decimalText } from './numberTexts.js';
import { ProtobufReader, WIRE } from './protobufReader.js';
import { protobufScalar, type ProtobufScalar } from './protobufScalars.js';
import type { IndexedMessage, ProtobufField, ProtobufMessage } from './protobufSchema.js';
import { TimeWriter } from './timeWriter.js';
import { UndecodableError } from './errors.js';

/** What becomes of values for which there is more than one way. */
export interface ProtobufChoices {
  /** `raw`: the bytes themselves, as a column of type String stores them. */
  readonly bytes: 'raw' | 'base64';
}

/**
 * Makes the decoder of the messages of a file. A value says by numbers before it which of them it is, as serializers
 * with a schema registry write it. Numbers keep their digits, and no whole number or decimal becomes a float.
 */
export function protobufDecoder(messages: readonly IndexedMessage[], choices: ProtobufChoices): Decoder {
  const decoding = new Decoding(choices);
  return (bytes, from, to, out) => decoding.write(bytes, from, to, messages, out);
}

/** Bytes of JSON of the largest message that a value without any byte can be. */
export function emptyJsonBytes(messages: readonly IndexedMessage[]): number {
  const seen = new Set<ProtobufMessage>();
  const add = (all: readonly IndexedMessage[]): void => {
    for (const { message, nested } of all) {
      seen.add(message);
      add(nested);
    }
  };
  add(messages);
  let largest = 0;
  // What is added is visited, too.
  for (const message of seen) {
    const { fields, special } = planOf(message, { bytes: 'raw' });
    const written = special === undefined ? fields.filter(({ field }) => !field.hasPresence) : [];
    const size = sum(written.map(({ name, scalar }) => name.length + (scalar?.byDefault.length ?? 2) + 1));
    largest = Math.max(largest, size);
    for (const { field } of fields) if (field.type.kind === 'message') seen.add(field.type.message);
  }
  return largest;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}

/** How a field is written. */
interface FieldPlan {
  readonly field: ProtobufField;
  /** With its colon. */
  readonly name: Buffer;
  /** The oneof that it is in, by number. {@link NONE} if it is in none. */
  readonly oneof: number;
  /** How its value, or each of them, is encoded. */
  readonly wire: number;
  /** Its values may also come packed. */
  readonly isPackable: boolean;
  /** Null: it is a message. */
  readonly scalar: ProtobufScalar | null;
}

interface MessagePlan {
  readonly fields: readonly FieldPlan[];
  /** A field's place among the fields, by its number. */
  readonly places: ReadonlyMap<number, number>;
  readonly oneofs: number;
  /** What it becomes instead of an object. */
  readonly special: Special | undefined;
}

type Special = 'timestamp' | 'duration' | 'decimal' | 'value';

/** Messages that are part of Protobuf. `value`: what they hold stands for them. */
const SPECIAL: Readonly<Record<string, Special>> = {
  'google.protobuf.Timestamp': 'timestamp',
  'google.protobuf.Duration': 'duration',
  'confluent.type.Decimal': 'decimal',
  ...Object.fromEntries(
    ['Struct', 'ListValue', 'Value', 'DoubleValue', 'FloatValue', 'Int64Value', 'UInt64Value', 'Int32Value']
      .concat(['UInt32Value', 'BoolValue', 'StringValue', 'BytesValue'])
      .map((name) => [`google.protobuf.${name}`, 'value' as const]),
  ),
};

function planOf({ name, fields }: ProtobufMessage, { bytes }: ProtobufChoices): MessagePlan {
  const oneofs = [...new Set(fields.flatMap(({ oneof }) => oneof ?? []))];
  const plans = fields.map((field): FieldPlan => {
    const { type } = field;
    const scalar = type.kind === 'message' ? null : protobufScalar(type, bytes);
    const wire = scalar?.wire ?? (field.isGroup ? WIRE.group : WIRE.sized);
    return {
      field,
      name: Buffer.from(`${JSON.stringify(field.name)}:`),
      oneof: field.oneof === null ? NONE : oneofs.indexOf(field.oneof),
      wire,
      isPackable: field.holds === 'many' && scalar !== null && wire !== WIRE.sized,
      scalar,
    };
  });
  const special = Object.hasOwn(SPECIAL, name) ? SPECIAL[name] : undefined;
  return { fields: plans, places: new Map(fields.map(({ id }, place) => [id, place])), oneofs: oneofs.length, special };
}

/**
 * Decodes one value after the other. A message is passed through once to find its fields, and then written in the order
 * of its schema, because fields may come in any order, repeatedly, and in parts.
 *
 * What is found is in one array. A message has in it, for each of its fields, the first and the last place where the
 * field is, and for each oneof the field that counts. A place has four numbers: where the value begins, its tag, the
 * next place, and where it ends if it is a group. What is found of the messages within a message comes after it, and is
 * dropped when they are written.
 */
class Decoding {
  readonly #choices: ProtobufChoices;
  readonly #reader = new ProtobufReader();
  readonly #times = new TimeWriter();
  readonly #plans = new Map<ProtobufMessage, MessagePlan>();
  #found = new Int32Array(FOUND_FIRST);
  #foundEnd = 0;

  constructor(choices: ProtobufChoices) {
    this.#choices = choices;
  }

  write(bytes: Buffer, from: number, to: number, messages: readonly IndexedMessage[], out: JsonWriter): void {
    const reader = this.#reader;
    reader.set(bytes, from, to);
    this.#foundEnd = 0;
    reader.stepsLeft = Math.min(STEPS.most, STEPS.fixed + STEPS.perByte * (to - from));
    try {
      const plan = this.#planOf(this.#indexed(messages));
      reader.enter();
      const found = this.#open(plan);
      this.#find(found, plan, reader.at, to);
      this.#write(found, plan, out);
    } finally {
      // Decoders are kept for long. They must not keep the bytes of records.
      reader.set(NOTHING, 0, 0);
      if (this.#found.length > FOUND_KEPT_MAX) this.#found = new Int32Array(FOUND_FIRST);
    }
  }

  /**
   * Reads the numbers that say which message it is: how many they are, and the place of each message within the one
   * before. A zero alone stands for the first message.
   */
  #indexed(messages: readonly IndexedMessage[]): ProtobufMessage {
    let left = this.#index();
    if (left === 0) return nth(messages, 0).message;
    let nested = messages;
    for (;;) {
      const indexed = nth(nested, this.#index());
      if (--left <= 0) return indexed.message;
      ({ nested } = indexed);
    }
  }

  /** The last bit of such a number is its sign. */
  #index(): number {
    const folded = this.#reader.varint();
    if ((folded & 1) !== 0 || this.#reader.high !== 0) throw noSuchMessage();
    return folded / 2;
  }

  #planOf(message: ProtobufMessage): MessagePlan {
    let plan = this.#plans.get(message);
    if (plan === undefined) {
      plan = planOf(message, this.#choices);
      this.#plans.set(message, plan);
    }
    return plan;
  }

  /** A message that comes in parts is what they are one after the other. @param last of its parts */
  #message(message: ProtobufMessage, first: number, last: number, out: JsonWriter): void {
    const reader = this.#reader;
    const plan = this.#planOf(message);
    reader.enter();
    const found = this.#open(plan);
    for (let node = first; node !== NONE; node = node === last ? NONE : this.#next(node)) {
      const end = this.#enter(node);
      this.#find(found, plan, reader.at, end);
    }
    this.#write(found, plan, out);
    this.#foundEnd = found;
    reader.leave();
  }

  #write(found: number, plan: MessagePlan, out: JsonWriter): void {
    switch (plan.special) {
      case undefined:
        this.#object(found, plan, out);
        return;
      case 'value':
        this.#value(found, plan, out);
        return;
      case 'timestamp':
        this.#timestamp(found, plan, out);
        return;
      case 'duration':
        this.#duration(found, plan, out);
        return;
      case 'decimal':
        this.#decimal(found, plan, out);
        return;
    }
  }

  /** Makes room for what a message has. @returns where it is, with nothing found yet */
  #open({ fields, oneofs }: MessagePlan): number {
    const found = this.#reserve(2 * fields.length + oneofs);
    this.#found.fill(NONE, found, this.#foundEnd);
    this.#reader.step(Math.ceil(fields.length / FIELDS_PER_STEP));
    return found;
  }

  /** Passes through a message, or a part of it, and adds what it has to what is found. */
  #find(found: number, { fields, places }: MessagePlan, from: number, to: number): void {
    const reader = this.#reader;
    const { end } = reader;
    const ofOneofs = found + 2 * fields.length;
    reader.at = from;
    reader.end = to;
    while (reader.at < to) {
      const tag = reader.tag();
      const { at } = reader;
      const groupEnd = reader.skipValue(tag);
      const place = places.get(tag >>> 3);
      if (place === undefined) continue;
      const { wire, isPackable, oneof } = fields[place] as FieldPlan;
      // In another encoding it is an unknown field that has the same number.
      if ((tag & 7) !== wire && !(isPackable && (tag & 7) === WIRE.sized)) continue;
      if (oneof !== NONE) {
        const before = this.#found[ofOneofs + oneof] as number;
        if (before !== NONE && before !== place) this.#found[found + 2 * before] = NONE;
        this.#found[ofOneofs + oneof] = place;
      }
      this.#add(found + 2 * place, at, tag, groupEnd);
    }
    reader.end = end;
  }

  #add(ofField: number, at: number, tag: number, groupEnd: number): void {
    const node = this.#reserve(4);
    const found = this.#found;
    found[node] = at;
    found[node + 1] = tag;
    found[node + 2] = NONE;
    found[node + 3] = groupEnd;
    if (found[ofField] === NONE) found[ofField] = node;
    else found[(found[ofField + 1] as number) + 2] = node;
    found[ofField + 1] = node;
  }

  #reserve(count: number): number {
    const at = this.#foundEnd;
    this.#foundEnd = at + count;
    if (this.#foundEnd > this.#found.length) {
      const larger = new Int32Array(Math.max(this.#foundEnd, 2 * this.#found.length));
      larger.set(this.#found);
      this.#found = larger;
    }
    return at;
  }

  /** The first place of a field. */
  #first(ofField: number): number {
    return this.#found[ofField] as number;
  }

  #next(node: number): number {
    return this.#found[node + 2] as number;
  }

  /** Goes to where a value begins. @returns its wire type */
  #goTo(node: number): number {
    this.#reader.at = this.#found[node] as number;
    return (this.#found[node + 1] as number) & 7;
  }

  /** Goes to the beginning of a value with others in it. @returns where it ends */
  #enter(node: number): number {
    const reader = this.#reader;
    if (this.#goTo(node) !== WIRE.group) {
      const size = reader.size();
      return reader.at + size;
    }
    return this.#found[node + 3] as number;
  }

  #object(found: number, { fields }: MessagePlan, out: JsonWriter): void {
    let separator = OPEN_BRACE;
    for (let place = 0; place < fields.length; place++) {
      const plan = fields[place] as FieldPlan;
      const ofField = found + 2 * place;
      if (plan.field.hasPresence && this.#first(ofField) === NONE) continue;
      out.byte(separator);
      separator = COMMA;
      out.literal(plan.name);
      this.#field(ofField, plan, out);
    }
    if (separator === OPEN_BRACE) out.byte(OPEN_BRACE);
    out.byte(CLOSE_BRACE);
  }

  #field(ofField: number, plan: FieldPlan, out: JsonWriter): void {
    if (plan.field.holds === 'one') this.#one(ofField, plan, out);
    else if (plan.field.holds === 'many') this.#many(ofField, plan, out);
    else this.#map(ofField, plan, out);
  }

  #one(ofField: number, plan: FieldPlan, out: JsonWriter): void {
    const { scalar } = plan;
    const first = this.#first(ofField);
    const last = this.#found[ofField + 1] as number;
    if (scalar !== null) {
      if (first === NONE) {
        out.literal(scalar.byDefault);
        return;
      }
      this.#goTo(last);
      scalar.write(this.#reader, out);
      return;
    }
    // Only an entry of a map has a message that is not there: an empty one.
    this.#message(messageOf(plan), first, last, out);
  }

  #many(ofField: number, plan: FieldPlan, out: JsonWriter): void {
    const reader = this.#reader;
    const { scalar, wire } = plan;
    let separator = OPEN_BRACKET;
    for (let node = this.#first(ofField); node !== NONE; node = this.#next(node)) {
      if (scalar !== null && this.#goTo(node) !== wire) {
        const end = this.#enter(node);
        while (reader.at < end) {
          out.byte(separator);
          separator = COMMA;
          scalar.write(reader, out);
        }
        if (reader.at > end) throw new UndecodableError('a number goes beyond the values that it is packed with');
        continue;
      }
      out.byte(separator);
      separator = COMMA;
      if (scalar === null) this.#message(messageOf(plan), node, node, out);
      else scalar.write(reader, out);
    }
    if (separator === OPEN_BRACKET) out.byte(OPEN_BRACKET);
    out.byte(CLOSE_BRACKET);
  }

  /** Of the entries with the same key, the last one counts. */
  #map(ofField: number, plan: FieldPlan, out: JsonWriter): void {
    const reader = this.#reader;
    const entryPlan = this.#planOf(messageOf(plan));
    const [keyPlan, valuePlan] = entryPlan.fields as readonly [FieldPlan, FieldPlan];
    const foundEnd = this.#foundEnd;
    const entries = new Map<string, number>();
    for (let node = this.#first(ofField); node !== NONE; node = this.#next(node)) {
      const end = this.#enter(node);
      const found = this.#open(entryPlan);
      this.#find(found, entryPlan, reader.at, end);
      const start = out.length;
      this.#one(found, keyPlan, out);
      entries.set(out.bytes.toString('latin1', start, out.length), found);
      out.length = start;
    }
    const isText = keyPlan.wire === WIRE.sized;
    let separator = OPEN_BRACE;
    for (const [key, found] of entries) {
      out.byte(separator);
      separator = COMMA;
      out.text(isText ? key : `"${key}"`);
      out.byte(COLON);
      this.#one(found + 2, valuePlan, out);
    }
    if (separator === OPEN_BRACE) out.byte(OPEN_BRACE);
    out.byte(CLOSE_BRACE);
    this.#foundEnd = foundEnd;
  }

  /** What it holds stands for the message, null for nothing. */
  #value(found: number, { fields }: MessagePlan, out: JsonWriter): void {
    for (let place = 0; place < fields.length; place++) {
      const plan = fields[place] as FieldPlan;
      const ofField = found + 2 * place;
      if (!plan.field.hasPresence || this.#first(ofField) !== NONE) {
        this.#field(ofField, plan, out);
        return;
      }
    }
    out.text('null');
  }

  #timestamp(found: number, plan: MessagePlan, out: JsonWriter): void {
    const units = this.#whole(found, plan, 1);
    const nanos = this.#whole(found, plan, 2);
    if (!(units >= TIMESTAMP_S.min && units <= TIMESTAMP_S.max && nanos >= 0 && nanos < NANOS))
      throw new UndecodableError('a timestamp is not within the years 1 to 9999');
    const days = Math.floor(units / DAY_S);
    const digits = fractionDigits(nanos);
    const fraction = nanos / 10 ** (9 - digits);
    this.#times.timestamp(out, { days, seconds: units - days * DAY_S, fraction }, digits, false);
  }

  /** The seconds, as a decimal. */
  #duration(found: number, plan: MessagePlan, out: JsonWriter): void {
    const units = this.#whole(found, plan, 1);
    const nanos = this.#whole(found, plan, 2);
    if (!(Math.abs(units) <= DURATION_S_MAX && Math.abs(nanos) < NANOS && units * nanos >= 0))
      throw new UndecodableError('a duration is beyond 10,000 years, or its parts have different signs');
    const sign = units < 0 || nanos < 0 ? '-' : '';
    const fraction = String(Math.abs(nanos)).padStart(9, '0').slice(0, fractionDigits(nanos));
    out.text(`"${sign}${Math.abs(units)}.${fraction}"`);
  }

  #decimal(found: number, plan: MessagePlan, out: JsonWriter): void {
    const reader = this.#reader;
    const scale = this.#whole(found, plan, 3);
    if (!(scale >= 0 && scale <= SCALE_MAX)) throw new UndecodableError('a decimal has a scale that no column has');
    const place = plan.places.get(1);
    const isThere = place !== undefined && this.#first(found + 2 * place) !== NONE;
    if (isThere) this.#goTo(this.#found[found + 2 * place + 1] as number);
    const size = isThere ? reader.size() : 0;
    out.text(`"${decimalText(reader.bytes, reader.at, size, scale)}"`);
  }

  /** A whole number of a message that is part of Protobuf. It is rounded if it is beyond 2^53. */
  #whole(found: number, { places }: MessagePlan, id: number): number {
    const place = places.get(id);
    if (place === undefined || this.#first(found + 2 * place) === NONE) return 0;
    this.#goTo(this.#found[found + 2 * place + 1] as number);
    const low = this.#reader.varint();
    return (this.#reader.high | 0) * 2 ** 32 + low;
  }
}

function messageOf({ field }: FieldPlan): ProtobufMessage {
  if (field.type.kind !== 'message') throw new TypeError(`${field.name} is no message`);
  return field.type.message;
}

function nth(messages: readonly IndexedMessage[], index: number): IndexedMessage {
  const found = messages[index];
  if (found === undefined) throw noSuchMessage();
  return found;
}

function noSuchMessage(): UndecodableError {
  return new UndecodableError('its schema has no message of the number that it names');
}

/** The fewest digits of 3, 6 and 9 that a fraction needs. */
function fractionDigits(nanos: number): number {
  return nanos % 1_000_000 === 0 ? 3 : nanos % 1_000 === 0 ? 6 : 9;
}

/** Nothing is found. */
const NONE = -1;
const FOUND_FIRST = 1_024;
const FOUND_KEPT_MAX = 256 * 1_024;
const NOTHING = Buffer.alloc(0);

/**
 * A record takes so many steps at most. Usual ones take one or two for a byte, but groups within groups are passed through
 * once for each of them, and an empty message of many fields has few bytes. The most take some two seconds, within which
 * the worker sends no heartbeat.
 */
const STEPS = { fixed: 1_000_000, perByte: 64, most: 50_000_000 };
/** To look whether they are there. */
const FIELDS_PER_STEP = 4;

const DAY_S = 86_400;
const NANOS = 1_000_000_000;
/** As `timestamp.proto` and `duration.proto` say. */
const TIMESTAMP_S = { min: -62_135_596_800, max: 253_402_300_799 };
const DURATION_S_MAX = 315_576_000_000;
/** More digits than any type of ClickHouse has. */
const SCALE_MAX = 1_000;

const COMMA = 44;
const COLON = 58;
const OPEN_BRACKET = 91;
const CLOSE_BRACKET = 93;
const OPEN_BRACE = 123;
const CLOSE_BRACE = 125;
