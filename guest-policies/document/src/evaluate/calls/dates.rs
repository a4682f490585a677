//! `DateTime`, `DateTimeOffset`, `TimeSpan`.

use keyward_document_program::{Member, Type};

use super::super::dates::{
    DateTime, DateTimeOffset, EPOCH, Kind, TICKS_PER_DAY, TICKS_PER_MILLISECOND, TICKS_PER_SECOND,
    ticks,
};
use super::super::{Context, Evaluator, Exception, Outcome, Value, dates_text};
use super::Arguments;

const SECOND: f64 = 1e3;
const MINUTE: f64 = 6e4;
const HOUR: f64 = 3.6e6;
const DAY: f64 = 8.64e7;

pub(super) fn call(
    evaluator: &mut Evaluator<'_, impl Context>,
    member: Member,
    arguments: Arguments<'_>,
) -> Option<Outcome> {
    dates(evaluator, member, arguments).transpose()
}

fn dates(
    evaluator: &mut Evaluator<'_, impl Context>,
    member: Member,
    arguments: Arguments<'_>,
) -> Outcome<Option<Value>> {
    use Member as M;
    let out = Exception::ArgumentOutOfRange;
    let now = |kind| DateTime::new(evaluator.context.now(), kind);
    let plus = |unit| -> Outcome {
        let ticks = ticks(arguments.double(1)?, unit, out)?;
        arguments.date(0)?.plus(ticks).map(Value::DateTime)
    };
    let offset_plus = |ticks: i64| -> Outcome {
        let date = arguments.offset(0)?;
        let utc = date.utc.checked_add(ticks).ok_or(out)?;
        DateTimeOffset::new(utc, date.offset_minutes).map(Value::Offset)
    };
    let ints = |from: usize| -> Outcome<[i32; 3]> {
        Ok([
            arguments.int(from)?,
            arguments.int(from + 1)?,
            arguments.int(from + 2)?,
        ])
    };
    let span = |unit| ticks(arguments.double(0)?, unit, Exception::Overflow).map(Value::Span);
    Ok(Some(match member {
        M::DateTimeNow => Value::DateTime(now(Kind::Local)?),
        M::DateTimeUtcNow => Value::DateTime(now(Kind::Utc)?),
        M::DateTimeToday => {
            let now = now(Kind::Local)?;
            Value::DateTime(DateTime::new(
                now.ticks / TICKS_PER_DAY * TICKS_PER_DAY,
                Kind::Local,
            )?)
        }
        M::DateTimeMinValue => Value::DateTime(DateTime::MIN),
        M::DateTimeMaxValue => Value::DateTime(DateTime::MAX),
        M::DateTimeParse => Value::DateTime(dates_text::parse_date(&arguments.text(0)?)?),
        M::DateTimeNew => Value::DateTime(DateTime::of(ints(0)?, [0, 0, 0], Kind::Unspecified)?),
        M::DateTimeNewTime => Value::DateTime(DateTime::of(ints(0)?, ints(3)?, Kind::Unspecified)?),
        M::DateTimeNewKind => {
            let kind = match arguments.int(6)? {
                0 => Kind::Unspecified,
                1 => Kind::Utc,
                2 => Kind::Local,
                _ => return Err(Exception::Argument),
            };
            Value::DateTime(DateTime::of(ints(0)?, ints(3)?, kind)?)
        }
        M::DateTimeToText | M::OffsetToText => {
            let format = arguments.text_or_null(1)?;
            let shown = evaluator.formatted(arguments.get(0)?, format.as_deref())?;
            Value::text(&shown)
        }
        M::DateTimeAdd | M::DateTimePlusSpan => {
            Value::DateTime(arguments.date(0)?.plus(arguments.span(1)?)?)
        }
        M::DateTimeMinusSpan => {
            let span = arguments.span(1)?.checked_neg().ok_or(out)?;
            Value::DateTime(arguments.date(0)?.plus(span)?)
        }
        M::DateTimeSubtract | M::DateTimeMinus => {
            Value::Span(arguments.date(0)?.ticks - arguments.date(1)?.ticks)
        }
        M::DateTimeAddMilliseconds => plus(1.0)?,
        M::DateTimeAddSeconds => plus(SECOND)?,
        M::DateTimeAddMinutes => plus(MINUTE)?,
        M::DateTimeAddHours => plus(HOUR)?,
        M::DateTimeAddDays => plus(DAY)?,
        M::DateTimeAddMonths => Value::DateTime(
            arguments
                .date(0)?
                .plus_months(i64::from(arguments.int(1)?))?,
        ),
        M::DateTimeAddYears => {
            let months = i64::from(arguments.int(1)?) * 12;
            Value::DateTime(arguments.date(0)?.plus_months(months)?)
        }
        M::DateTimeToUniversal => Value::DateTime(DateTime {
            kind: Kind::Utc,
            ..arguments.date(0)?
        }),
        M::DateTimeYear
        | M::DateTimeMonth
        | M::DateTimeDay
        | M::DateTimeHour
        | M::DateTimeMinute
        | M::DateTimeSecond
        | M::DateTimeMillisecond
        | M::DateTimeDayOfWeek
        | M::DateTimeDayOfYear
        | M::DateTimeTicks
        | M::DateTimeDate
        | M::DateTimeKindOf => part(member, arguments.date(0)?)?,
        M::OffsetNow | M::OffsetUtcNow => Value::Offset(DateTimeOffset::of(now(Kind::Utc)?)),
        M::OffsetParse => Value::Offset(dates_text::parse_offset(&arguments.text(0)?)?),
        M::OffsetFromSeconds => Value::Offset(since_epoch(arguments.long(0)?, TICKS_PER_SECOND)?),
        M::OffsetFromMilliseconds => {
            Value::Offset(since_epoch(arguments.long(0)?, TICKS_PER_MILLISECOND)?)
        }
        M::OffsetNew => Value::Offset(DateTimeOffset::of(arguments.date(0)?)),
        M::OffsetToSeconds => {
            Value::Long((arguments.offset(0)?.utc - EPOCH).div_euclid(TICKS_PER_SECOND))
        }
        M::OffsetToMilliseconds => {
            Value::Long((arguments.offset(0)?.utc - EPOCH).div_euclid(TICKS_PER_MILLISECOND))
        }
        M::OffsetAddSeconds => offset_plus(ticks(arguments.double(1)?, SECOND, out)?)?,
        M::OffsetAddMinutes => offset_plus(ticks(arguments.double(1)?, MINUTE, out)?)?,
        M::OffsetAddHours => offset_plus(ticks(arguments.double(1)?, HOUR, out)?)?,
        M::OffsetAddDays => offset_plus(ticks(arguments.double(1)?, DAY, out)?)?,
        M::OffsetAdd | M::OffsetPlusSpan => offset_plus(arguments.span(1)?)?,
        M::OffsetDateTime => Value::DateTime(arguments.offset(0)?.local()),
        M::OffsetUtcDateTime => Value::DateTime(arguments.offset(0)?.utc_date()),
        M::OffsetMinus => Value::Span(arguments.offset(0)?.utc - arguments.offset(1)?.utc),
        M::SpanZero => Value::Span(0),
        M::SpanFromSeconds => span(SECOND)?,
        M::SpanFromMinutes => span(MINUTE)?,
        M::SpanFromHours => span(HOUR)?,
        M::SpanFromDays => span(DAY)?,
        M::SpanNew => {
            let [hours, minutes, seconds] = ints(0)?.map(i64::from);
            let seconds = hours * 3600 + minutes * 60 + seconds;
            Value::Span(seconds.checked_mul(TICKS_PER_SECOND).ok_or(out)?)
        }
        M::SpanTotalSeconds
        | M::SpanTotalMilliseconds
        | M::SpanTotalMinutes
        | M::SpanTotalHours
        | M::SpanTotalDays
        | M::SpanSeconds
        | M::SpanMinutes
        | M::SpanHours
        | M::SpanDays
        | M::SpanTicks => span_part(member, arguments.span(0)?),
        M::SpanPlus | M::SpanMinus => {
            let (left, right) = (arguments.span(0)?, arguments.span(1)?);
            let sum = if member == M::SpanPlus {
                left.checked_add(right)
            } else {
                left.checked_sub(right)
            };
            Value::Span(sum.ok_or(Exception::Overflow)?)
        }
        _ => return Ok(None),
    }))
}

fn since_epoch(count: i64, unit: i64) -> Outcome<DateTimeOffset> {
    let ticks = count
        .checked_mul(unit)
        .and_then(|ticks| ticks.checked_add(EPOCH))
        .ok_or(Exception::ArgumentOutOfRange)?;
    DateTimeOffset::new(ticks, 0)
}

fn part(member: Member, date: DateTime) -> Outcome {
    use Member as M;
    let (hour, minute, second, ticks) = date.time();
    let int = |value: i64| Value::Int(i32::try_from(value).unwrap_or(0));
    let day = date.date();
    Ok(match member {
        M::DateTimeYear => int(i64::from(day.year())),
        M::DateTimeMonth => int(i64::from(u8::from(day.month()))),
        M::DateTimeDay => int(i64::from(day.day())),
        M::DateTimeHour => int(hour),
        M::DateTimeMinute => int(minute),
        M::DateTimeSecond => int(second),
        M::DateTimeMillisecond => int(ticks / TICKS_PER_MILLISECOND),
        M::DateTimeDayOfWeek => Value::Enum(
            Type::DayOfWeek,
            i32::from(day.weekday().number_days_from_sunday()),
        ),
        M::DateTimeDayOfYear => int(i64::from(day.ordinal())),
        M::DateTimeTicks => Value::Long(date.ticks),
        M::DateTimeDate => Value::DateTime(DateTime::new(
            date.ticks / TICKS_PER_DAY * TICKS_PER_DAY,
            date.kind,
        )?),
        _ => Value::Enum(Type::DateTimeKind, date.kind as i32),
    })
}

fn span_part(member: Member, ticks: i64) -> Value {
    use Member as M;
    #[expect(clippy::cast_precision_loss, reason = "as .NET does")]
    let real = ticks as f64;
    let int = |value: i64| Value::Int(i32::try_from(value).unwrap_or(0));
    let seconds = ticks / TICKS_PER_SECOND;
    match member {
        M::SpanTotalSeconds => Value::Double(real / 1e7),
        M::SpanTotalMilliseconds => Value::Double(real / 1e4),
        M::SpanTotalMinutes => Value::Double(real / 6e8),
        M::SpanTotalHours => Value::Double(real / 3.6e10),
        M::SpanTotalDays => Value::Double(real / 8.64e11),
        M::SpanSeconds => int(seconds % 60),
        M::SpanMinutes => int(seconds / 60 % 60),
        M::SpanHours => int(seconds / 3600 % 24),
        M::SpanDays => int(seconds / 86_400),
        _ => Value::Long(ticks),
    }
}
