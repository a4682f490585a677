//! What filters do.

use std::sync::Arc;

use keyward_document_program::liquid::Filter;

use super::render::{equal, int, order};
use super::{Item, UNFIT};
use crate::evaluate::{Budget, Exception, Outcome, dates_text, texts, web};

/// A value that goes through a filter, and what becomes of it.
pub(super) type Apply = fn(&Item, &Arguments<'_>, &mut Budget) -> Outcome<Item>;

/// What stands behind a filter's name.
pub(super) struct Arguments<'a>(pub(super) &'a [Item]);

impl Arguments<'_> {
    fn get(&self, at: usize) -> Option<&Item> {
        self.0.get(at)
    }

    fn text(&self, at: usize, budget: &mut Budget) -> Outcome<String> {
        self.get(at)
            .map_or(Ok(String::new()), |item| item.shown(budget))
    }

    fn int(&self, at: usize) -> Outcome<Option<i64>> {
        self.get(at).map(|item| item.int().ok_or(UNFIT)).transpose()
    }
}

/// What a filter does.
pub(super) fn of(filter: Filter) -> Apply {
    match filter {
        Filter::Abs => |value, _, _| number(value, i64::saturating_abs, f64::abs),
        Filter::Append => |value, arguments, budget| {
            let whole = value.shown(budget)? + &arguments.text(0, budget)?;
            text(budget, &whole)
        },
        Filter::AtLeast => |value, arguments, _| two(value, arguments, i64::max, f64::max),
        Filter::AtMost => |value, arguments, _| two(value, arguments, i64::min, f64::min),
        Filter::Capitalize => |value, _, budget| {
            let shown = value.shown(budget)?;
            let mut letters = shown.chars();
            let first = letters
                .next()
                .map(|first| texts::folded(first.encode_utf8(&mut [0; 4])));
            text(budget, &(first.unwrap_or_default() + letters.as_str()))
        },
        Filter::Ceil => |value, _, _| number(value, |whole| whole, f64::ceil).map(whole),
        Filter::Compact => |value, _, _| {
            Ok(list(value)
                .into_iter()
                .filter(|item| !matches!(item, Item::Nil))
                .collect())
        },
        Filter::Concat => |value, arguments, budget| {
            let mut all = list(value);
            all.extend(arguments.get(0).map(list).unwrap_or_default());
            budget.bytes(all.len() * 16)?;
            Ok(all.into_iter().collect())
        },
        Filter::Date => date,
        Filter::Default => |value, arguments, _| {
            let is_empty = match value {
                Item::Text(text) => text.is_empty(),
                Item::List(all) => all.is_empty(),
                other => !other.is_true(),
            };
            Ok(match is_empty {
                true => arguments.get(0).cloned().unwrap_or(Item::Nil),
                false => value.clone(),
            })
        },
        Filter::DividedBy => {
            |value, arguments, _| divide(value, arguments, i64::checked_div, |a, b| a / b)
        }
        Filter::Downcase => |value, _, budget| {
            let shown = value.shown(budget)?;
            text(budget, &texts::lower(&shown))
        },
        Filter::Escape => |value, _, budget| {
            let shown = value.shown(budget)?;
            text(budget, &web::html_encode(&shown))
        },
        Filter::EscapeOnce => |value, _, budget| {
            let shown = value.shown(budget)?;
            text(budget, &web::html_encode(&web::html_decode(&shown)))
        },
        Filter::First => |value, _, _| Ok(list(value).into_iter().next().unwrap_or(Item::Nil)),
        Filter::Floor => |value, _, _| number(value, |whole| whole, f64::floor).map(whole),
        Filter::H => |value, _, budget| {
            let shown = value.shown(budget)?;
            text(budget, &web::html_encode(&shown))
        },
        Filter::Join => |value, arguments, budget| {
            let between = match arguments.get(0) {
                Some(between) => between.shown(budget)?,
                None => " ".to_owned(),
            };
            let mut joined = String::new();
            for (at, item) in list(value).iter().enumerate() {
                if at > 0 {
                    budget.bytes(between.len())?;
                    joined.push_str(&between);
                }
                item.show(budget, &mut joined)?;
            }
            text(budget, &joined)
        },
        Filter::Last => |value, _, _| Ok(list(value).pop().unwrap_or(Item::Nil)),
        Filter::Lstrip => |value, _, budget| {
            let shown = value.shown(budget)?;
            text(budget, shown.trim_start())
        },
        Filter::Map => |value, arguments, budget| {
            let name = arguments.text(0, budget)?;
            Ok(list(value).iter().map(|item| member(item, &name)).collect())
        },
        Filter::Minus => {
            |value, arguments, _| two(value, arguments, i64::saturating_sub, |a, b| a - b)
        }
        Filter::Modulo => {
            |value, arguments, _| divide(value, arguments, i64::checked_rem, |a, b| a % b)
        }
        Filter::NewlineToBr => |value, _, budget| {
            let shown = value.shown(budget)?.replace("\r\n", "\n");
            text(budget, &shown.replace('\n', "<br />\n"))
        },
        Filter::Plus => {
            |value, arguments, _| two(value, arguments, i64::saturating_add, |a, b| a + b)
        }
        Filter::Prepend => |value, arguments, budget| {
            let whole = arguments.text(0, budget)? + &value.shown(budget)?;
            text(budget, &whole)
        },
        Filter::Remove => {
            |value, arguments, budget| exchanged(value, arguments, "", usize::MAX, budget)
        }
        Filter::RemoveFirst => {
            |value, arguments, budget| exchanged(value, arguments, "", 1, budget)
        }
        Filter::Replace => |value, arguments, budget| {
            let with = arguments.text(1, budget)?;
            exchanged(value, arguments, &with, usize::MAX, budget)
        },
        Filter::ReplaceFirst => |value, arguments, budget| {
            let with = arguments.text(1, budget)?;
            exchanged(value, arguments, &with, 1, budget)
        },
        Filter::Reverse => |value, _, _| Ok(list(value).into_iter().rev().collect()),
        Filter::Round => |value, arguments, _| {
            let digits = arguments.int(0)?.unwrap_or(0).clamp(0, 15);
            let digits = i32::try_from(digits).unwrap_or(0);
            let scale = 10_f64.powi(digits);
            let rounded = number(
                value,
                |whole| whole,
                |part| (part * scale).round_ties_even() / scale,
            )?;
            Ok(if digits == 0 { whole(rounded) } else { rounded })
        },
        Filter::Rstrip => |value, _, budget| {
            let shown = value.shown(budget)?;
            text(budget, shown.trim_end())
        },
        Filter::Size => |value, _, _| {
            Ok(match value {
                Item::Text(text) => int(text.chars().count()),
                Item::List(all) => int(all.len()),
                Item::Map(all) => int(all.len()),
                _ => Item::Int(0),
            })
        },
        Filter::Slice => slice,
        Filter::Sort => |value, arguments, budget| {
            let name = arguments.text(0, budget)?;
            let mut all = list(value);
            budget.bytes(all.len() * 64)?;
            all.sort_by(|left, right| {
                match name.is_empty() {
                    true => order(left, right),
                    false => order(&member(left, &name), &member(right, &name)),
                }
                .unwrap_or(std::cmp::Ordering::Equal)
            });
            Ok(all.into_iter().collect())
        },
        Filter::Split => |value, arguments, budget| {
            let (shown, at) = (value.shown(budget)?, arguments.text(0, budget)?);
            budget.bytes(shown.len() * 4)?;
            Ok(match at.is_empty() {
                true => shown.chars().map(|c| Item::text(&c.to_string())).collect(),
                false => shown
                    .split(&*at)
                    .filter(|part| !part.is_empty())
                    .map(Item::text)
                    .collect(),
            })
        },
        Filter::Strip => |value, _, budget| {
            let shown = value.shown(budget)?;
            text(budget, shown.trim())
        },
        Filter::StripHtml => |value, _, budget| {
            let shown = value.shown(budget)?;
            let mut out = String::with_capacity(shown.len());
            let mut is_inside = false;
            for c in shown.chars() {
                match c {
                    '<' => is_inside = true,
                    '>' if is_inside => is_inside = false,
                    c if !is_inside => out.push(c),
                    _ => {}
                }
            }
            text(budget, &out)
        },
        Filter::StripNewlines => |value, _, budget| {
            let shown = value.shown(budget)?;
            text(budget, &shown.replace(['\r', '\n'], ""))
        },
        Filter::Times => {
            |value, arguments, _| two(value, arguments, i64::saturating_mul, |a, b| a * b)
        }
        Filter::Truncate => |value, arguments, budget| {
            let shown = value.shown(budget)?;
            let most = usize::try_from(arguments.int(0)?.unwrap_or(50)).unwrap_or(0);
            let end = match arguments.get(1) {
                Some(end) => end.shown(budget)?,
                None => "...".to_owned(),
            };
            if shown.chars().count() <= most {
                return text(budget, &shown);
            }
            let kept = most.saturating_sub(end.chars().count());
            text(
                budget,
                &(shown.chars().take(kept).collect::<String>() + &end),
            )
        },
        Filter::TruncateWords => words,
        Filter::Uniq => |value, _, budget| {
            let mut unique: Vec<Item> = Vec::new();
            for item in list(value) {
                budget.work(unique.len() * 64)?;
                if !unique.iter().any(|there| equal(there, &item)) {
                    unique.push(item);
                }
            }
            Ok(unique.into_iter().collect())
        },
        Filter::Upcase => |value, _, budget| {
            let shown = value.shown(budget)?;
            text(budget, &texts::folded(&shown))
        },
        Filter::UrlDecode => |value, _, budget| {
            let shown = value.shown(budget)?;
            text(budget, &web::url_decode(&shown))
        },
        Filter::UrlEncode => |value, _, budget| {
            let shown = value.shown(budget)?;
            text(budget, &web::url_encode(&shown))
        },
    }
}

fn text(budget: &mut Budget, text: &str) -> Outcome<Item> {
    budget.bytes(text.len())?;
    Ok(Item::text(text))
}

fn list(value: &Item) -> Vec<Item> {
    match value {
        Item::List(all) => all.to_vec(),
        Item::Nil => Vec::new(),
        Item::Map(all) => all
            .iter()
            .map(|entry| Item::Entry(Arc::new(entry.clone())))
            .collect(),
        other => vec![other.clone()],
    }
}

fn member(item: &Item, name: &str) -> Item {
    match item {
        Item::Map(all) => all
            .iter()
            .find(|(there, _)| &**there == name)
            .map_or(Item::Nil, |(_, value)| value.clone()),
        Item::Entry(entry) if name.eq_ignore_ascii_case("key") => Item::Text(Arc::clone(&entry.0)),
        Item::Entry(entry) if name.eq_ignore_ascii_case("value") => entry.1.clone(),
        _ => Item::Nil,
    }
}

/// A whole number if it is one.
fn as_number(value: &Item) -> Outcome<Item> {
    Ok(match value {
        Item::Int(_) | Item::Float(_) => value.clone(),
        Item::Nil => Item::Int(0),
        Item::Text(text) => match text.trim().parse() {
            Ok(whole) => Item::Int(whole),
            Err(_) => Item::Float(value.number().ok_or(UNFIT)?),
        },
        _ => return Err(UNFIT),
    })
}

fn number(value: &Item, of_int: fn(i64) -> i64, of_float: impl Fn(f64) -> f64) -> Outcome<Item> {
    Ok(match as_number(value)? {
        Item::Int(whole) => Item::Int(of_int(whole)),
        other => Item::Float(of_float(other.number().ok_or(UNFIT)?)),
    })
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "it was rounded; beyond i64 it saturates"
)]
fn whole(item: Item) -> Item {
    match item {
        Item::Float(number) => Item::Int(number as i64),
        other => other,
    }
}

fn two(
    value: &Item,
    arguments: &Arguments<'_>,
    of_int: fn(i64, i64) -> i64,
    of_float: fn(f64, f64) -> f64,
) -> Outcome<Item> {
    let other = arguments.get(0).ok_or(UNFIT)?;
    Ok(match (as_number(value)?, as_number(other)?) {
        (Item::Int(left), Item::Int(right)) => Item::Int(of_int(left, right)),
        (left, right) => Item::Float(of_float(
            left.number().ok_or(UNFIT)?,
            right.number().ok_or(UNFIT)?,
        )),
    })
}

fn divide(
    value: &Item,
    arguments: &Arguments<'_>,
    of_int: fn(i64, i64) -> Option<i64>,
    of_float: fn(f64, f64) -> f64,
) -> Outcome<Item> {
    let other = as_number(arguments.get(0).ok_or(UNFIT)?)?;
    if let (Item::Int(left), Item::Int(right)) = (as_number(value)?, &other) {
        let result = of_int(left, *right).ok_or(Exception::DivideByZero)?;
        return Ok(Item::Int(result));
    }
    two(value, arguments, i64::saturating_mul, of_float)
}

fn exchanged(
    value: &Item,
    arguments: &Arguments<'_>,
    with: &str,
    most: usize,
    budget: &mut Budget,
) -> Outcome<Item> {
    let (shown, what) = (value.shown(budget)?, arguments.text(0, budget)?);
    if what.is_empty() {
        return Ok(Item::text(&shown));
    }
    let hits = shown.matches(&*what).take(most).count();
    budget.bytes(hits.saturating_mul(with.len()))?;
    text(budget, &shown.replacen(&*what, with, most))
}

fn words(value: &Item, arguments: &Arguments<'_>, budget: &mut Budget) -> Outcome<Item> {
    let shown = value.shown(budget)?;
    let most = usize::try_from(arguments.int(0)?.unwrap_or(15))
        .unwrap_or(0)
        .max(1);
    let end = match arguments.get(1) {
        Some(end) => end.shown(budget)?,
        None => "...".to_owned(),
    };
    let all: Vec<&str> = shown.split_whitespace().collect();
    match all.get(..most) {
        Some(kept) if all.len() > most => text(budget, &(kept.join(" ") + &end)),
        _ => text(budget, &shown),
    }
}

fn slice(value: &Item, arguments: &Arguments<'_>, budget: &mut Budget) -> Outcome<Item> {
    let start = arguments.int(0)?.ok_or(UNFIT)?;
    let length = usize::try_from(arguments.int(1)?.unwrap_or(1)).unwrap_or(0);
    let from = |count: usize| -> usize {
        let back = usize::try_from(start.unsigned_abs()).unwrap_or(usize::MAX);
        if start < 0 {
            count.saturating_sub(back)
        } else {
            back
        }
    };
    if let Item::List(all) = value {
        let all = all.iter().skip(from(all.len())).take(length);
        return Ok(all.cloned().collect());
    }
    let shown = value.shown(budget)?;
    let letters = shown.chars().skip(from(shown.chars().count()));
    text(budget, &letters.take(length).collect::<String>())
}

/// In the format that .NET has; without one, and for what is no date, as it was.
fn date(value: &Item, arguments: &Arguments<'_>, budget: &mut Budget) -> Outcome<Item> {
    let shown = value.shown(budget)?;
    let format = arguments.text(0, budget)?;
    if format.trim().is_empty() {
        return text(budget, &shown);
    }
    match dates_text::parse_date(&shown) {
        Ok(date) => text(budget, &dates_text::format(date, None, &format)?),
        Err(_) => text(budget, &shown),
    }
}
