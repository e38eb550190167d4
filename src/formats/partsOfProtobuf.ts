import protobuf from 'protobufjs';

/**
 * Files that serializers know, so that registries need not have them: Confluent's has all of these built in.
 *
 * Sources: `google/type` of github.com/googleapis/googleapis, and `src/google/protobuf` of
 * github.com/protocolbuffers/protobuf.
 */
const PARTS: Readonly<Record<string, Part>> = {
  ...Object.fromEntries(
    ['any', 'duration', 'empty', 'field_mask', 'struct', 'timestamp', 'wrappers'].map((name) => {
      const file = `google/protobuf/${name}.proto`;
      return [file, { imports: [], read: () => protobuf.common.get(file)?.nested ?? {} }];
    }),
  ),
  'google/protobuf/source_context.proto': part('google.protobuf', 'message SourceContext { string file_name = 1; }'),
  'google/protobuf/type.proto': part(
    'google.protobuf',
    `message Type {
      string name = 1; repeated Field fields = 2; repeated string oneofs = 3; repeated Option options = 4;
      SourceContext source_context = 5; Syntax syntax = 6; string edition = 7;
    }
    message Field {
      enum Kind {
        TYPE_UNKNOWN = 0; TYPE_DOUBLE = 1; TYPE_FLOAT = 2; TYPE_INT64 = 3; TYPE_UINT64 = 4; TYPE_INT32 = 5;
        TYPE_FIXED64 = 6; TYPE_FIXED32 = 7; TYPE_BOOL = 8; TYPE_STRING = 9; TYPE_GROUP = 10; TYPE_MESSAGE = 11;
        TYPE_BYTES = 12; TYPE_UINT32 = 13; TYPE_ENUM = 14; TYPE_SFIXED32 = 15; TYPE_SFIXED64 = 16; TYPE_SINT32 = 17;
        TYPE_SINT64 = 18;
      }
      enum Cardinality {
        CARDINALITY_UNKNOWN = 0; CARDINALITY_OPTIONAL = 1; CARDINALITY_REQUIRED = 2; CARDINALITY_REPEATED = 3;
      }
      Kind kind = 1; Cardinality cardinality = 2; int32 number = 3; string name = 4; string type_url = 6;
      int32 oneof_index = 7; bool packed = 8; repeated Option options = 9; string json_name = 10;
      string default_value = 11;
    }
    message Enum {
      string name = 1; repeated EnumValue enumvalue = 2; repeated Option options = 3; SourceContext source_context = 4;
      Syntax syntax = 5; string edition = 6;
    }
    message EnumValue { string name = 1; int32 number = 2; repeated Option options = 3; }
    message Option { string name = 1; Any value = 2; }
    enum Syntax { SYNTAX_PROTO2 = 0; SYNTAX_PROTO3 = 1; SYNTAX_EDITIONS = 2; }`,
    ['google/protobuf/any.proto', 'google/protobuf/source_context.proto'],
  ),
  'google/protobuf/api.proto': part(
    'google.protobuf',
    `message Api {
      string name = 1; repeated Method methods = 2; repeated Option options = 3; string version = 4;
      SourceContext source_context = 5; repeated Mixin mixins = 6; Syntax syntax = 7; string edition = 8;
    }
    message Method {
      string name = 1; string request_type_url = 2; bool request_streaming = 3; string response_type_url = 4;
      bool response_streaming = 5; repeated Option options = 6; Syntax syntax = 7; string edition = 8;
    }
    message Mixin { string name = 1; string root = 2; }`,
    ['google/protobuf/type.proto', 'google/protobuf/source_context.proto'],
  ),
  'google/type/calendar_period.proto': ofGoogle(
    `enum CalendarPeriod {
      CALENDAR_PERIOD_UNSPECIFIED = 0; DAY = 1; WEEK = 2; FORTNIGHT = 3; MONTH = 4; QUARTER = 5; HALF = 6; YEAR = 7;
    }`,
  ),
  'google/type/color.proto': ofGoogle(
    'message Color { float red = 1; float green = 2; float blue = 3; google.protobuf.FloatValue alpha = 4; }',
    ['google/protobuf/wrappers.proto'],
  ),
  'google/type/date.proto': ofGoogle('message Date { int32 year = 1; int32 month = 2; int32 day = 3; }'),
  'google/type/datetime.proto': ofGoogle(
    `message DateTime {
      int32 year = 1; int32 month = 2; int32 day = 3; int32 hours = 4; int32 minutes = 5; int32 seconds = 6;
      int32 nanos = 7; oneof time_offset { google.protobuf.Duration utc_offset = 8; TimeZone time_zone = 9; }
    }
    message TimeZone { string id = 1; string version = 2; }`,
    ['google/protobuf/duration.proto'],
  ),
  'google/type/dayofweek.proto': ofGoogle(
    `enum DayOfWeek {
      DAY_OF_WEEK_UNSPECIFIED = 0; MONDAY = 1; TUESDAY = 2; WEDNESDAY = 3; THURSDAY = 4; FRIDAY = 5; SATURDAY = 6;
      SUNDAY = 7;
    }`,
  ),
  'google/type/decimal.proto': ofGoogle('message Decimal { string value = 1; }'),
  'google/type/expr.proto': ofGoogle(
    'message Expr { string expression = 1; string title = 2; string description = 3; string location = 4; }',
  ),
  'google/type/fraction.proto': ofGoogle('message Fraction { int64 numerator = 1; int64 denominator = 2; }'),
  'google/type/interval.proto': ofGoogle(
    'message Interval { google.protobuf.Timestamp start_time = 1; google.protobuf.Timestamp end_time = 2; }',
    ['google/protobuf/timestamp.proto'],
  ),
  'google/type/latlng.proto': ofGoogle('message LatLng { double latitude = 1; double longitude = 2; }'),
  'google/type/localized_text.proto': ofGoogle('message LocalizedText { string text = 1; string language_code = 2; }'),
  'google/type/money.proto': ofGoogle('message Money { string currency_code = 1; int64 units = 2; int32 nanos = 3; }'),
  'google/type/month.proto': ofGoogle(
    `enum Month {
      MONTH_UNSPECIFIED = 0; JANUARY = 1; FEBRUARY = 2; MARCH = 3; APRIL = 4; MAY = 5; JUNE = 6; JULY = 7; AUGUST = 8;
      SEPTEMBER = 9; OCTOBER = 10; NOVEMBER = 11; DECEMBER = 12;
    }`,
  ),
  'google/type/phone_number.proto': ofGoogle(
    `message PhoneNumber {
      message ShortCode { string region_code = 1; string number = 2; }
      oneof kind { string e164_number = 1; ShortCode short_code = 2; }
      string extension = 3;
    }`,
  ),
  'google/type/postal_address.proto': ofGoogle(
    `message PostalAddress {
      int32 revision = 1; string region_code = 2; string language_code = 3; string postal_code = 4;
      string sorting_code = 5; string administrative_area = 6; string locality = 7; string sublocality = 8;
      repeated string address_lines = 9; repeated string recipients = 10; string organization = 11;
    }`,
  ),
  'google/type/quaternion.proto': ofGoogle(
    'message Quaternion { double x = 1; double y = 2; double z = 3; double w = 4; }',
  ),
  'google/type/timeofday.proto': ofGoogle(
    'message TimeOfDay { int32 hours = 1; int32 minutes = 2; int32 seconds = 3; int32 nanos = 4; }',
  ),
  'confluent/type/decimal.proto': part(
    'confluent.type',
    'message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }',
  ),
};

interface Part {
  readonly imports: readonly string[];
  readonly read: () => Readonly<Record<string, protobuf.AnyNestedObject>>;
}

/**
 * Adds those of some files that are part of Protobuf, with what they import.
 *
 * @param isKnown whether the registry has the file. Then it counts
 */
export function addPartsOfProtobuf(
  root: protobuf.Root,
  imported: Iterable<string>,
  isKnown: (name: string) => boolean,
): void {
  const names = new Set(imported);
  // What is added is visited, too.
  for (const name of names) {
    const known = isKnown(name) || !Object.hasOwn(PARTS, name) ? undefined : PARTS[name];
    if (known === undefined) continue;
    for (const further of known.imports) names.add(further);
    root.addJSON(known.read());
  }
}

function ofGoogle(text: string, imports: readonly string[] = []): Part {
  return part('google.type', text, imports);
}

/** It is read when it is first needed. */
function part(name: string, text: string, imports: readonly string[] = []): Part {
  let nested: ReturnType<Part['read']> | undefined;
  const read = (): NonNullable<typeof nested> => {
    const file = `syntax = "proto3"; package ${name}; ${text}`;
    nested ??= protobuf.parse(file, new protobuf.Root(), { keepCase: true }).root.toJSON().nested ?? {};
    return nested;
  };
  return { imports, read };
}
