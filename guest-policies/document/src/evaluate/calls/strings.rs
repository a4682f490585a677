//! `string`, `char`, `string[]`.

use keyward_document_program::Member;

use super::super::{Context, Evaluator, Exception, Outcome, Value, numbers, operators, texts};
use super::Arguments;

pub(super) fn call(
    evaluator: &mut Evaluator<'_, impl Context>,
    member: Member,
    arguments: Arguments<'_>,
) -> Option<Outcome> {
    use Member as M;
    let outcome = match member {
        M::ObjectToString => shown(evaluator, arguments),
        M::ObjectEquals | M::ObjectEqualsStatic | M::StringEqualsStatic | M::StringEquals => {
            equals(evaluator, arguments)
        }
        M::StringEqualsStaticHow | M::StringEqualsHow => equals_how(evaluator, arguments),
        M::StringIsNullOrEmpty => arguments
            .text_or_null(0)
            .map(|text| Value::Bool(text.is_none_or(|text| text.is_empty()))),
        M::StringIsNullOrWhiteSpace => arguments
            .text_or_null(0)
            .map(|text| Value::Bool(text.is_none_or(|text| text.trim().is_empty()))),
        M::StringEmpty => Ok(Value::text("")),
        M::StringCompare | M::StringCompareTo => order(arguments),
        M::StringConcat => {
            let mut text = String::new();
            arguments
                .rest(0)
                .iter()
                .try_for_each(|part| evaluator.append(&mut text, part))
                .map(|()| Value::text(&text))
        }
        M::StringJoin | M::StringJoinAll => join(evaluator, member, arguments),
        M::StringContains
        | M::StringContainsHow
        | M::StringStartsWith
        | M::StringStartsWithHow
        | M::StringEndsWith
        | M::StringEndsWithHow => search(evaluator, member, arguments),
        M::StringIndexOf
        | M::StringIndexOfChar
        | M::StringIndexOfFrom
        | M::StringIndexOfCharFrom
        | M::StringIndexOfHow
        | M::StringLastIndexOf
        | M::StringLastIndexOfChar => index(evaluator, member, arguments),
        M::StringSplit | M::StringSplitText | M::StringSplitHow | M::StringSplitString => {
            split(evaluator, member, arguments)
        }
        M::StringLength
        | M::StringIndex
        | M::StringSubstring
        | M::StringSubstringLength
        | M::StringRemove
        | M::StringRemoveLength
        | M::StringInsert
        | M::StringReplace
        | M::StringReplaceChar
        | M::StringToLower
        | M::StringToLowerInvariant
        | M::StringToUpper
        | M::StringToUpperInvariant
        | M::StringTrim
        | M::StringTrimStart
        | M::StringTrimEnd
        | M::StringPadLeft
        | M::StringPadLeftWith
        | M::StringPadRight
        | M::StringPadRightWith => change(evaluator, member, arguments),
        M::CharIsDigit
        | M::CharIsLetter
        | M::CharIsLetterOrDigit
        | M::CharIsWhiteSpace
        | M::CharToUpper
        | M::CharToLower => character(member, arguments),
        M::StringsLength
        | M::StringsCount
        | M::StringsIndex
        | M::StringsFirst
        | M::StringsLast
        | M::StringsFirstOrDefault
        | M::StringsLastOrDefault
        | M::StringsContains
        | M::StringsAny => array(member, arguments),
        M::BoolParse => arguments
            .text(0)
            .and_then(|text| numbers::parse_bool(&text))
            .map(Value::Bool),
        M::BoolTrueString => Ok(Value::text("True")),
        M::BoolFalseString => Ok(Value::text("False")),
        _ => return None,
    };
    Some(outcome)
}

fn shown(evaluator: &mut Evaluator<'_, impl Context>, arguments: Arguments<'_>) -> Outcome {
    let value = arguments.get(0)?;
    evaluator.shown(value).map(Value::Text)
}

fn equals(evaluator: &mut Evaluator<'_, impl Context>, arguments: Arguments<'_>) -> Outcome {
    let (left, right) = (arguments.get(0)?, arguments.get(1)?);
    evaluator.budget.work(left.size())?;
    if let (Value::Json(left), Value::Json(right)) = (left, right) {
        use super::super::json;
        // Values are equal by value, objects and arrays by identity.
        return match (json::scalar(left), json::scalar(right)) {
            (Some(_), Some(_)) => json::deep_equal(evaluator.budget, left, right).map(Value::Bool),
            _ => Ok(Value::Bool(std::rc::Rc::ptr_eq(left, right))),
        };
    }
    Ok(Value::Bool(operators::equals(left, right)))
}

fn equals_how(evaluator: &mut Evaluator<'_, impl Context>, arguments: Arguments<'_>) -> Outcome {
    let ignore = texts::ignores_case(arguments.int(2)?)?;
    let (left, right) = (arguments.text_or_null(0)?, arguments.text_or_null(1)?);
    evaluator
        .budget
        .work(left.as_ref().map_or(0, |text| text.len()))?;
    Ok(Value::Bool(match (left, right) {
        (Some(left), Some(right)) if ignore => texts::folded(&left) == texts::folded(&right),
        (left, right) => left == right,
    }))
}

fn order(arguments: Arguments<'_>) -> Outcome {
    let (left, right) = (arguments.text_or_null(0)?, arguments.text_or_null(1)?);
    let order = match (left, right) {
        (Some(left), Some(right)) => left.encode_utf16().cmp(right.encode_utf16()),
        (left, right) => left.is_some().cmp(&right.is_some()),
    };
    Ok(Value::Int(order as i32))
}

fn join(
    evaluator: &mut Evaluator<'_, impl Context>,
    member: Member,
    arguments: Arguments<'_>,
) -> Outcome {
    let separator = arguments.text_or_null(0)?.unwrap_or_default();
    let parts: Vec<Value> = if member == Member::StringJoinAll {
        arguments
            .strings(1)?
            .iter()
            .cloned()
            .map(Value::Text)
            .collect()
    } else {
        arguments.rest(1).to_vec()
    };
    let mut text = String::new();
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            evaluator.budget.bytes(separator.len())?;
            text.push_str(&separator);
        }
        evaluator.append(&mut text, part)?;
    }
    Ok(Value::text(&text))
}

fn search(
    evaluator: &mut Evaluator<'_, impl Context>,
    member: Member,
    arguments: Arguments<'_>,
) -> Outcome {
    use Member as M;
    let (text, part) = (arguments.text(0)?, arguments.text(1)?);
    evaluator.budget.work(text.len() + part.len())?;
    let how = matches!(
        member,
        M::StringContainsHow | M::StringStartsWithHow | M::StringEndsWithHow
    );
    let (text, part) = if how && texts::ignores_case(arguments.int(2)?)? {
        (texts::folded(&text).into(), texts::folded(&part).into())
    } else {
        (text, part)
    };
    Ok(Value::Bool(match member {
        M::StringContains | M::StringContainsHow => text.contains(&*part),
        M::StringStartsWith | M::StringStartsWithHow => text.starts_with(&*part),
        _ => text.ends_with(&*part),
    }))
}

fn index(
    evaluator: &mut Evaluator<'_, impl Context>,
    member: Member,
    arguments: Arguments<'_>,
) -> Outcome {
    use Member as M;
    let text = arguments.text(0)?;
    evaluator.budget.work(text.len())?;
    let part = match arguments.get(1)? {
        Value::Char(unit) => texts::of_unit(*unit),
        _ => arguments.text(1)?.to_string(),
    };
    let found = match member {
        M::StringLastIndexOf | M::StringLastIndexOfChar if part.is_empty() => {
            return Ok(texts::int(texts::length(&text).saturating_sub(1)));
        }
        M::StringLastIndexOf | M::StringLastIndexOfChar => text.rfind(&part),
        M::StringIndexOfFrom | M::StringIndexOfCharFrom => {
            let from = texts::byte(&text, arguments.int(2)?)?;
            text.get(from..)
                .and_then(|rest| rest.find(&part))
                .map(|at| at + from)
        }
        M::StringIndexOfHow if texts::ignores_case(arguments.int(2)?)? => {
            let (folded, part) = (texts::folded(&text), texts::folded(&part));
            return Ok(texts::index(&folded, folded.find(&part)));
        }
        _ => text.find(&part),
    };
    Ok(texts::index(&text, found))
}

fn split(
    evaluator: &mut Evaluator<'_, impl Context>,
    member: Member,
    arguments: Arguments<'_>,
) -> Outcome {
    use Member as M;
    let text = arguments.text(0)?;
    let drop_empty = match member {
        M::StringSplitHow | M::StringSplitString => arguments.int(2)? == 1,
        _ => false,
    };
    match member {
        M::StringSplit => {
            let units = arguments.chars(1)?;
            texts::split(evaluator.budget, &text, &units, drop_empty)
        }
        M::StringSplitHow => {
            let unit = arguments.char(1)?;
            texts::split(evaluator.budget, &text, &[unit], drop_empty)
        }
        _ => match arguments.text_or_null(1)?.filter(|at| !at.is_empty()) {
            Some(at) => texts::strings(evaluator.budget, text.split(&*at), drop_empty),
            None => texts::strings(evaluator.budget, std::iter::once(&*text), drop_empty),
        },
    }
}

/// The most units that padding makes.
const MAX_WIDTH: i32 = 1 << 20;

fn change(
    evaluator: &mut Evaluator<'_, impl Context>,
    member: Member,
    arguments: Arguments<'_>,
) -> Outcome {
    use Member as M;
    let text = arguments.text(0)?;
    evaluator.budget.bytes(text.len())?;
    let changed = match member {
        M::StringLength => return Ok(texts::int(texts::length(&text))),
        M::StringIndex => return texts::unit(&text, arguments.int(1)?).map(Value::Char),
        M::StringSubstring => texts::part(&text, arguments.int(1)?, None)?,
        M::StringSubstringLength => texts::part(&text, arguments.int(1)?, Some(arguments.int(2)?))?,
        M::StringRemove => {
            let start = arguments.int(1)?;
            // Also at the very end, unlike Substring.
            if usize::try_from(start).is_ok_and(|start| start >= texts::length(&text)) {
                return Err(Exception::ArgumentOutOfRange);
            }
            texts::part(&text, 0, Some(start))?
        }
        M::StringRemoveLength => {
            let (start, length) = (arguments.int(1)?, arguments.int(2)?);
            texts::part(&text, start, Some(length))?;
            let after = start
                .checked_add(length)
                .ok_or(Exception::ArgumentOutOfRange)?;
            texts::part(&text, 0, Some(start))? + &texts::part(&text, after, None)?
        }
        M::StringInsert => {
            let (at, added) = (arguments.int(1)?, arguments.text(2)?);
            evaluator.budget.bytes(added.len())?;
            let before = texts::part(&text, 0, Some(at))?;
            before + &added + &texts::part(&text, at, None)?
        }
        M::StringReplace => {
            let old = arguments.text(1)?;
            if old.is_empty() {
                return Err(Exception::Argument);
            }
            let new = arguments.text_or_null(2)?.unwrap_or_default();
            let count = text.matches(&*old).count();
            evaluator.budget.bytes(count.saturating_mul(new.len()))?;
            text.replace(&*old, &new)
        }
        M::StringReplaceChar => {
            let (old, new) = (arguments.char(1)?, arguments.char(2)?);
            let units: Vec<u16> = text
                .encode_utf16()
                .map(|unit| if unit == old { new } else { unit })
                .collect();
            String::from_utf16_lossy(&units)
        }
        M::StringToLower | M::StringToLowerInvariant => texts::lower(&text),
        M::StringToUpper | M::StringToUpperInvariant => texts::folded(&text),
        M::StringTrim => texts::trim(&text, &arguments.chars(1)?, true, true),
        M::StringTrimStart => texts::trim(&text, &arguments.chars(1)?, true, false),
        M::StringTrimEnd => texts::trim(&text, &arguments.chars(1)?, false, true),
        _ => {
            let width = arguments.int(1)?;
            let with = match member {
                M::StringPadLeftWith | M::StringPadRightWith => arguments.char(2)?,
                _ => u16::from(b' '),
            };
            if !(0..=MAX_WIDTH).contains(&width) {
                return Err(if width < 0 {
                    Exception::ArgumentOutOfRange
                } else {
                    Exception::Memory
                });
            }
            let width = usize::try_from(width).unwrap_or(0);
            evaluator.budget.bytes(width)?;
            let with = char::from_u32(u32::from(with)).unwrap_or(char::REPLACEMENT_CHARACTER);
            let left = matches!(member, M::StringPadLeft | M::StringPadLeftWith);
            texts::pad(&text, width, with, left)
        }
    };
    Ok(Value::text(&changed))
}

fn character(member: Member, arguments: Arguments<'_>) -> Outcome {
    use Member as M;
    let unit = arguments.char(0)?;
    let c = char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER);
    Ok(match member {
        M::CharIsDigit => Value::Bool(c.is_ascii_digit()),
        M::CharIsLetter => Value::Bool(c.is_alphabetic()),
        M::CharIsLetterOrDigit => Value::Bool(c.is_alphanumeric()),
        M::CharIsWhiteSpace => Value::Bool(c.is_whitespace()),
        _ => {
            let text = c.to_string();
            let changed = if member == M::CharToUpper {
                texts::folded(&text)
            } else {
                texts::lower(&text)
            };
            Value::Char(changed.encode_utf16().next().unwrap_or(unit))
        }
    })
}

fn array(member: Member, arguments: Arguments<'_>) -> Outcome {
    use Member as M;
    let all = arguments.strings(0)?;
    let or_null = |text: Option<&std::sync::Arc<str>>| {
        text.map_or(Value::Null, |text| Value::Text(text.clone()))
    };
    Ok(match member {
        M::StringsLength | M::StringsCount => texts::int(all.len()),
        M::StringsAny => Value::Bool(!all.is_empty()),
        M::StringsIndex => usize::try_from(arguments.int(1)?)
            .ok()
            .and_then(|at| all.get(at))
            .map(|text| Value::Text(text.clone()))
            .ok_or(Exception::IndexOutOfRange)?,
        M::StringsFirst if all.is_empty() => return Err(Exception::InvalidOperation),
        M::StringsLast if all.is_empty() => return Err(Exception::InvalidOperation),
        M::StringsFirst | M::StringsFirstOrDefault => or_null(all.first()),
        M::StringsLast | M::StringsLastOrDefault => or_null(all.last()),
        _ => {
            let wanted = arguments.text_or_null(1)?;
            Value::Bool(wanted.is_some_and(|wanted| all.contains(&wanted)))
        }
    })
}
