//! Numbers, `Math`, `Random`, `Convert`, `Encoding`, `Uri`, `WebUtility`, `Guid`.

use std::cell::Cell;
use std::rc::Rc;

use keyward_document_program::{Member, Type};
use uuid::{Builder, Uuid};

use super::super::{Context, Evaluator, Exception, Outcome, Value, casts, numbers, texts, web};
use super::Arguments;

pub(super) fn call(
    evaluator: &mut Evaluator<'_, impl Context>,
    member: Member,
    arguments: Arguments<'_>,
) -> Option<Outcome> {
    use Member as M;
    let outcome = match member {
        M::BytesLength => arguments.bytes(0).map(|bytes| texts::int(bytes.len())),
        M::IntParse | M::LongParse | M::DoubleParse => parse(member, arguments),
        M::IntMaxValue => Ok(Value::Int(i32::MAX)),
        M::IntMinValue => Ok(Value::Int(i32::MIN)),
        M::LongMaxValue => Ok(Value::Long(i64::MAX)),
        M::LongMinValue => Ok(Value::Long(i64::MIN)),
        M::IntToString | M::LongToString | M::DoubleToString | M::GuidToString => {
            format(evaluator, arguments)
        }
        M::IntCompareTo => compare(arguments),
        M::MathAbsInt
        | M::MathAbsLong
        | M::MathAbs
        | M::MathMinInt
        | M::MathMinLong
        | M::MathMin
        | M::MathMaxInt
        | M::MathMaxLong
        | M::MathMax
        | M::MathFloor
        | M::MathCeiling
        | M::MathRound
        | M::MathRoundTo
        | M::MathTruncate
        | M::MathPow
        | M::MathSqrt => math(member, arguments),
        M::RandomNew => evaluator
            .context
            .random()
            .map(|seed| Value::Random(Rc::new(Cell::new(seed)))),
        M::RandomNewSeeded => arguments
            .int(0)
            .map(|seed| Value::Random(Rc::new(Cell::new(u64::from(seed.cast_unsigned()))))),
        M::RandomNext | M::RandomNextBelow | M::RandomNextBetween | M::RandomNextDouble => {
            random(member, arguments)
        }
        M::ConvertToInt => arguments
            .get(0)
            .and_then(|value| casts::convert(Type::Int, value)),
        M::ConvertToLong => arguments
            .get(0)
            .and_then(|value| casts::convert(Type::Long, value)),
        M::ConvertToDouble => arguments
            .get(0)
            .and_then(|value| casts::convert(Type::Double, value)),
        M::ConvertToBool => arguments
            .get(0)
            .and_then(|value| casts::convert(Type::Bool, value)),
        M::ConvertToDateTime => arguments
            .get(0)
            .and_then(|value| casts::convert(Type::DateTime, value)),
        M::ConvertToIntBase => based(arguments),
        M::ConvertToString => arguments
            .get(0)
            .and_then(|value| evaluator.shown(value))
            .map(Value::Text),
        M::EncodingUtf8 => Ok(Value::Encoding(0)),
        M::EncodingAscii => Ok(Value::Encoding(1)),
        M::EncodingUnicode => Ok(Value::Encoding(2)),
        M::ConvertToBase64
        | M::ConvertFromBase64
        | M::EncodingGetBytes
        | M::EncodingGetString
        | M::UriEscapeData
        | M::UriUnescapeData
        | M::WebUrlEncode
        | M::WebUrlDecode
        | M::WebHtmlEncode
        | M::WebHtmlDecode => encode(evaluator, member, arguments),
        M::UriNew => arguments
            .text(0)
            .and_then(|text| web::uri(&text).map(|_| Value::Uri(text))),
        M::UriScheme
        | M::UriHost
        | M::UriPort
        | M::UriAbsolutePath
        | M::UriPathAndQuery
        | M::UriQuery
        | M::UriAbsoluteUri => uri(member, arguments),
        M::GuidNew => new_guid(evaluator),
        M::GuidParse | M::GuidFromText => arguments
            .text(0)
            .and_then(|text| web::guid(&text))
            .map(Value::Guid),
        M::GuidEmpty => Ok(Value::Guid(Uuid::nil())),
        M::GuidToBytes => match arguments.get(0) {
            Ok(Value::Guid(guid)) => Ok(Value::Bytes(Rc::new(guid.to_bytes_le()))),
            _ => Err(Exception::Program),
        },
        _ => return None,
    };
    Some(outcome)
}

fn parse(member: Member, arguments: Arguments<'_>) -> Outcome {
    let text = arguments.text(0)?;
    match member {
        Member::DoubleParse => numbers::parse_double(&text).map(Value::Double),
        Member::LongParse => numbers::parse_whole(&text).map(Value::Long),
        _ => i32::try_from(numbers::parse_whole(&text)?)
            .map(Value::Int)
            .map_err(|_| Exception::Overflow),
    }
}

fn format(evaluator: &mut Evaluator<'_, impl Context>, arguments: Arguments<'_>) -> Outcome {
    let format = arguments.text_or_null(1)?;
    let shown = evaluator.formatted(arguments.get(0)?, format.as_deref())?;
    Ok(Value::text(&shown))
}

fn compare(arguments: Arguments<'_>) -> Outcome {
    Ok(Value::Int(arguments.int(0)?.cmp(&arguments.int(1)?) as i32))
}

fn math(member: Member, arguments: Arguments<'_>) -> Outcome {
    use Member as M;
    let overflow = Exception::Overflow;
    Ok(match member {
        M::MathAbsInt => Value::Int(arguments.int(0)?.checked_abs().ok_or(overflow)?),
        M::MathAbsLong => Value::Long(arguments.long(0)?.checked_abs().ok_or(overflow)?),
        M::MathMinInt => Value::Int(arguments.int(0)?.min(arguments.int(1)?)),
        M::MathMaxInt => Value::Int(arguments.int(0)?.max(arguments.int(1)?)),
        M::MathMinLong => Value::Long(arguments.long(0)?.min(arguments.long(1)?)),
        M::MathMaxLong => Value::Long(arguments.long(0)?.max(arguments.long(1)?)),
        M::MathAbs => Value::Double(arguments.double(0)?.abs()),
        M::MathMin | M::MathMax => {
            let (a, b) = (arguments.double(0)?, arguments.double(1)?);
            Value::Double(if a.is_nan() || b.is_nan() {
                f64::NAN
            } else if member == M::MathMin {
                a.min(b)
            } else {
                a.max(b)
            })
        }
        M::MathFloor => Value::Double(arguments.double(0)?.floor()),
        M::MathCeiling => Value::Double(arguments.double(0)?.ceil()),
        M::MathTruncate => Value::Double(arguments.double(0)?.trunc()),
        M::MathRound => Value::Double(arguments.double(0)?.round_ties_even()),
        M::MathRoundTo => {
            let digits = arguments.int(1)?;
            if !(0..=15).contains(&digits) {
                return Err(Exception::ArgumentOutOfRange);
            }
            let scale = 10_f64.powi(digits);
            let value = arguments.double(0)?;
            let rounded = (value * scale).round_ties_even() / scale;
            Value::Double(if value.abs() < 1e16 { rounded } else { value })
        }
        M::MathPow => Value::Double(arguments.double(0)?.powf(arguments.double(1)?)),
        _ => Value::Double(arguments.double(0)?.sqrt()),
    })
}

/// SplitMix64: of one seed always the same sequence, but not .NET's.
fn next(state: &Cell<u64>) -> u64 {
    let seed = state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    state.set(seed);
    let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn random(member: Member, arguments: Arguments<'_>) -> Outcome {
    let Value::Random(state) = arguments.get(0)? else {
        return Err(Exception::Program);
    };
    let bits = next(state);
    let (from, to) = match member {
        Member::RandomNextDouble => {
            #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
            return Ok(Value::Double((bits >> 11) as f64 / (1_u64 << 53) as f64));
        }
        Member::RandomNext => (0, i64::from(i32::MAX)),
        Member::RandomNextBelow => (0, i64::from(arguments.int(1)?)),
        _ => (i64::from(arguments.int(1)?), i64::from(arguments.int(2)?)),
    };
    let width = u64::try_from(to - from).map_err(|_| Exception::ArgumentOutOfRange)?;
    let below = u64::try_from((u128::from(bits) * u128::from(width)) >> 64).unwrap_or(0);
    let value = from + i64::try_from(below).unwrap_or(0);
    i32::try_from(value)
        .map(Value::Int)
        .map_err(|_| Exception::Program)
}

/// `Convert.ToInt32(text, base)`.
fn based(arguments: Arguments<'_>) -> Outcome {
    let base = arguments.int(1)?;
    let Some(text) = arguments.text_or_null(0)? else {
        return Ok(Value::Int(0));
    };
    let digits = match base {
        16 => text
            .strip_prefix("0x")
            .or(text.strip_prefix("0X"))
            .unwrap_or(&text),
        2 | 8 | 10 => &text,
        _ => return Err(Exception::Argument),
    };
    if digits.is_empty() {
        return Err(Exception::ArgumentOutOfRange);
    }
    if base == 10 {
        let value = numbers::parse_whole(digits)?;
        return i32::try_from(value)
            .map(Value::Int)
            .map_err(|_| Exception::Overflow);
    }
    if !digits.chars().all(|c| c.is_digit(base.cast_unsigned())) {
        return Err(Exception::Format);
    }
    u32::from_str_radix(digits, base.cast_unsigned())
        .map(|value| Value::Int(value.cast_signed()))
        .map_err(|_| Exception::Overflow)
}

fn encode(
    evaluator: &mut Evaluator<'_, impl Context>,
    member: Member,
    arguments: Arguments<'_>,
) -> Outcome {
    use Member as M;
    let encoded = match member {
        M::ConvertToBase64 => {
            let bytes = arguments.bytes(0)?;
            evaluator.budget.bytes(bytes.len().saturating_mul(2))?;
            web::to_base64(&bytes)
        }
        M::ConvertFromBase64 => {
            let text = arguments.text(0)?;
            evaluator.budget.bytes(text.len())?;
            return Ok(Value::Bytes(web::from_base64(&text)?.into()));
        }
        M::EncodingGetBytes | M::EncodingGetString => {
            let Value::Encoding(encoding) = arguments.get(0)? else {
                return Err(Exception::Program);
            };
            if member == M::EncodingGetBytes {
                let text = arguments.text(1)?;
                evaluator.budget.bytes(text.len().saturating_mul(2))?;
                let bytes: Vec<u8> = match encoding {
                    0 => text.bytes().collect(),
                    // One for each unit.
                    1 => text
                        .encode_utf16()
                        .map(|unit| u8::try_from(unit).ok().filter(u8::is_ascii).unwrap_or(b'?'))
                        .collect(),
                    _ => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
                };
                return Ok(Value::Bytes(bytes.into()));
            }
            let bytes = arguments.bytes(1)?;
            evaluator.budget.bytes(bytes.len().saturating_mul(3))?;
            match encoding {
                0 => String::from_utf8_lossy(&bytes).into_owned(),
                1 => bytes
                    .iter()
                    .map(|byte| {
                        if byte.is_ascii() {
                            char::from(*byte)
                        } else {
                            '?'
                        }
                    })
                    .collect(),
                _ => {
                    let units: Vec<u16> = bytes
                        .chunks(2)
                        .map(|pair| match pair {
                            [low, high] => u16::from_le_bytes([*low, *high]),
                            _ => 0xfffd,
                        })
                        .collect();
                    String::from_utf16_lossy(&units)
                }
            }
        }
        // Of null, these make null.
        M::WebUrlEncode | M::WebUrlDecode | M::WebHtmlEncode | M::WebHtmlDecode
            if matches!(arguments.get(0)?, Value::Null) =>
        {
            return Ok(Value::Null);
        }
        _ => {
            let text = arguments.text(0)?;
            evaluator.budget.bytes(text.len().saturating_mul(6))?;
            match member {
                M::UriEscapeData => web::escape(&text),
                M::UriUnescapeData => web::unescape(&text),
                M::WebUrlEncode => web::url_encode(&text),
                M::WebUrlDecode => web::url_decode(&text),
                M::WebHtmlEncode => web::html_encode(&text),
                _ => web::html_decode(&text),
            }
        }
    };
    Ok(Value::text(&encoded))
}

fn uri(member: Member, arguments: Arguments<'_>) -> Outcome {
    use Member as M;
    let Value::Uri(text) = arguments.get(0)? else {
        return Err(Exception::Program);
    };
    let parts = web::uri(text)?;
    Ok(match member {
        M::UriScheme => Value::text(&parts.scheme),
        M::UriHost => Value::text(&parts.host),
        M::UriPort => Value::Int(parts.port),
        M::UriAbsolutePath => Value::text(&parts.path),
        M::UriPathAndQuery => Value::text(&(parts.path + &parts.query)),
        M::UriQuery => Value::text(&parts.query),
        _ => {
            let standard = matches!(
                (&*parts.scheme, parts.port),
                ("http", 80) | ("https", 443) | (_, -1)
            );
            let port = if standard {
                String::new()
            } else {
                format!(":{}", parts.port)
            };
            Value::text(&format!(
                "{}://{}{port}{}{}{}",
                parts.scheme, parts.host, parts.path, parts.query, parts.fragment
            ))
        }
    })
}

fn new_guid(evaluator: &Evaluator<'_, impl Context>) -> Outcome {
    let (high, low) = (evaluator.context.random()?, evaluator.context.random()?);
    let bits = u128::from(high) << 64 | u128::from(low);
    let guid = Builder::from_random_bytes(bits.to_be_bytes()).into_uuid();
    Ok(Value::Guid(guid))
}
