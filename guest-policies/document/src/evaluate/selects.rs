//! `SelectToken`, as Newtonsoft's `JPath` reads paths: names, quoted names, indexes,
//! slices, `*` and `..name`, its oddities among them.
//!
//! Filters (`[?(…)]`), and what versions of Newtonsoft disagree about (`..[`, `*[`,
//! escapes other than `\'` and `\\`), are an exception.

use super::json::{self, Body, Token};
use super::{Budget, Exception, Outcome};

/// The token at a path; `None` if there is none. Errors: the path is none, or not
/// supported; there are several tokens; a limit.
pub(crate) fn select(budget: &mut Budget, token: &Token, path: &str) -> Outcome<Option<Token>> {
    budget.work(path.len().saturating_mul(64))?;
    budget.bytes(path.len().saturating_mul(8))?;
    let steps = Path::new(path).whole()?;
    let mut at = vec![token.clone()];
    for step in &steps {
        let mut found = Vec::new();
        for token in &at {
            follow(budget, token, step, &mut found)?;
        }
        at = found;
    }
    match at.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one.clone())),
        _ => Err(Exception::Json),
    }
}

/// One step of a path, from each token found so far to others.
enum Step {
    /// The value of that name; of several names, each that is there.
    Names(Vec<String>),
    /// `.*`: all values of an object.
    Values,
    /// `..name`: the values of that name, however deep.
    Scan(String),
    /// `..*`: the token itself and all tokens in it, however deep.
    All,
    /// The elements of an array.
    Indexes(Vec<i32>),
    /// `[*]`: all elements of an array.
    Elements,
    /// `[start:end:step]`
    Slice([Option<i32>; 3]),
}

fn follow(budget: &mut Budget, token: &Token, step: &Step, out: &mut Vec<Token>) -> Outcome<()> {
    let mut add = |budget: &mut Budget, found: Token| -> Outcome<()> {
        budget.step()?;
        budget.bytes(16)?;
        out.push(found);
        Ok(())
    };
    budget.step()?;
    match step {
        Step::Names(names) => {
            for name in names {
                budget.work(json::count(token).saturating_mul(16))?;
                if let Some(property) = json::find(token, name) {
                    add(budget, json::of_property(&property))?;
                }
            }
        }
        Step::Values => {
            if let Body::Object(all) = &*token.body.borrow() {
                for property in all {
                    add(budget, json::of_property(property))?;
                }
            }
        }
        Step::Scan(_) | Step::All => {
            let mut rest = vec![token.clone()];
            while let Some(token) = rest.pop() {
                budget.step()?;
                match (step, json::name_of(&token)) {
                    (Step::Scan(name), Some(found)) if *found == **name => {
                        add(budget, json::of_property(&token))?;
                    }
                    (Step::All, None) => add(budget, token.clone())?,
                    _ => {}
                }
                rest.extend(json::children(&token).into_iter().rev());
            }
        }
        Step::Indexes(indexes) => {
            if let Body::Array(all) = &*token.body.borrow() {
                for index in indexes {
                    let index = usize::try_from(*index);
                    let index = index.map_err(|_| Exception::ArgumentOutOfRange)?;
                    if let Some(found) = all.get(index) {
                        add(budget, found.clone())?;
                    }
                }
            }
        }
        Step::Elements => {
            if let Body::Array(all) = &*token.body.borrow() {
                for element in all {
                    add(budget, element.clone())?;
                }
            }
        }
        Step::Slice(slice) => {
            if let Body::Array(all) = &*token.body.borrow() {
                let (mut at, stop, step) = sliced(slice, all.len())?;
                while if step > 0 { at < stop } else { at > stop } {
                    let element = usize::try_from(at).ok().and_then(|at| all.get(at));
                    add(
                        budget,
                        element.ok_or(Exception::ArgumentOutOfRange)?.clone(),
                    )?;
                    at += step;
                }
            }
        }
    }
    Ok(())
}

/// Where a slice starts, before what it ends, and how far it goes each time.
fn sliced(slice: &[Option<i32>; 3], length: usize) -> Outcome<(i64, i64, i64)> {
    let [start, end, step] = slice.map(|bound| bound.map(i64::from));
    let length = i64::try_from(length).map_err(|_| Exception::Memory)?;
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err(Exception::Json);
    }
    let from_end = |bound: i64| if bound < 0 { length + bound } else { bound };
    let (first, last) = if step > 0 {
        (0, length)
    } else {
        (length - 1, -1)
    };
    let start = start.map_or(first, from_end);
    let end = end.map_or(last, from_end);
    let start = if step > 0 {
        start.clamp(0, length)
    } else {
        start.min(length - 1)
    };
    Ok((start, end.clamp(-1, length), step))
}

/// A path that is being read.
struct Path {
    text: Vec<char>,
    at: usize,
}

impl Path {
    fn new(path: &str) -> Self {
        Self {
            text: path.chars().collect(),
            at: 0,
        }
    }

    /// What comes next. Errors: the path ends here.
    fn next(&self) -> Outcome<char> {
        self.text.get(self.at).copied().ok_or(Exception::Json)
    }

    /// The same, where Newtonsoft does not look whether the path ends.
    fn next_unlooked(&self) -> Outcome<char> {
        self.next().map_err(|_| Exception::IndexOutOfRange)
    }

    fn skip_spaces(&mut self) {
        while self.text.get(self.at) == Some(&' ') {
            self.at += 1;
        }
    }

    fn since(&self, start: usize) -> String {
        let written = self.text.get(start..self.at).unwrap_or_default();
        written.iter().collect()
    }

    fn whole(mut self) -> Outcome<Vec<Step>> {
        let mut start = 0;
        self.skip_spaces();
        if self.at == self.text.len() {
            return Ok(Vec::new());
        }
        if self.text.get(self.at) == Some(&'$') {
            if self.text.len() == 1 {
                return Ok(Vec::new());
            }
            // "$" alone is the start; "$a" is a name.
            self.at += 1;
            match self.next_unlooked()? {
                '.' | '[' => start = self.at,
                _ => self.at -= 1,
            }
        }
        let steps = self.steps(start)?;
        self.skip_spaces();
        if self.at < self.text.len() {
            return Err(Exception::Json);
        }
        Ok(steps)
    }

    /// Steps, up to what can't be one.
    fn steps(&mut self, mut start: usize) -> Outcome<Vec<Step>> {
        let mut steps = Vec::new();
        let (mut scan, mut after_index, mut after_dot) = (false, false, false);
        while let Some(next) = self.text.get(self.at) {
            match next {
                open @ ('[' | '(') => {
                    let close = if *open == '[' { ']' } else { ')' };
                    if self.at > start {
                        let name = self.since(start);
                        if name == "*" {
                            return Err(Exception::NotSupported);
                        }
                        steps.push(named(name, scan));
                    } else if scan {
                        return Err(Exception::NotSupported);
                    }
                    steps.push(self.brackets(close)?);
                    self.at += 1;
                    start = self.at;
                    (scan, after_index, after_dot) = (false, true, false);
                }
                ']' | ')' | ' ' => break,
                '.' => {
                    if self.at > start {
                        steps.push(named(self.since(start), scan));
                        scan = false;
                    }
                    self.at += 1;
                    if self.text.get(self.at) == Some(&'.') {
                        scan = true;
                        self.at += 1;
                    }
                    start = self.at;
                    (after_index, after_dot) = (false, true);
                }
                _ if after_index => return Err(Exception::Json),
                _ => self.at += 1,
            }
        }
        if self.at > start {
            steps.push(named(self.since(start).trim_end().to_owned(), scan));
        } else if after_dot && self.at == self.text.len() {
            return Err(Exception::Json);
        }
        Ok(steps)
    }

    /// What stands between brackets; leaves the path at the closing one.
    fn brackets(&mut self, close: char) -> Outcome<Step> {
        self.at += 1;
        self.next()?;
        self.skip_spaces();
        match self.next_unlooked()? {
            '\'' => self.quoted(close),
            '?' => Err(Exception::NotSupported),
            _ => self.indexes(close),
        }
    }

    fn quoted(&mut self, close: char) -> Outcome<Step> {
        let mut names = Vec::new();
        loop {
            names.push(self.quoted_name()?);
            self.skip_spaces();
            match self.next()? {
                next if next == close => return Ok(Step::Names(names)),
                ',' => {
                    self.at += 1;
                    self.skip_spaces();
                }
                _ => return Err(Exception::Json),
            }
        }
    }

    /// A name in quotes; the first of them is not looked at.
    fn quoted_name(&mut self) -> Outcome<String> {
        let mut name = String::new();
        loop {
            self.at += 1;
            match self.next()? {
                '\\' if self.at + 1 < self.text.len() => {
                    self.at += 1;
                    match self.next()? {
                        escaped @ ('\'' | '\\') => name.push(escaped),
                        _ => return Err(Exception::NotSupported),
                    }
                }
                '\'' => {
                    self.at += 1;
                    return Ok(name);
                }
                other => name.push(other),
            }
        }
    }

    fn indexes(&mut self, close: char) -> Outcome<Step> {
        let (mut start, mut end) = (self.at, None);
        let mut indexes = Vec::new();
        let (mut slice, mut colons) = ([None; 3], 0usize);
        loop {
            let next = self.next()?;
            let written = {
                let written = self.text.get(start..end.unwrap_or(self.at));
                written.unwrap_or_default().iter().collect::<String>()
            };
            match next {
                ' ' => {
                    end = Some(self.at);
                    self.skip_spaces();
                }
                _ if next == close => {
                    if indexes.is_empty() && colons > 0 {
                        if let (false, Some(bound)) =
                            (written.is_empty(), slice.get_mut(colons.min(2)))
                        {
                            *bound = Some(number(&written)?);
                        }
                        return Ok(Step::Slice(slice));
                    }
                    indexes.push(index(&written)?);
                    return Ok(Step::Indexes(indexes));
                }
                ',' => {
                    indexes.push(index(&written)?);
                    self.at += 1;
                    self.skip_spaces();
                    (start, end) = (self.at, None);
                }
                '*' => {
                    self.at += 1;
                    self.next()?;
                    self.skip_spaces();
                    return match self.next_unlooked()? {
                        next if next == close => Ok(Step::Elements),
                        _ => Err(Exception::Json),
                    };
                }
                ':' => {
                    if let (false, Some(bound)) = (written.is_empty(), slice.get_mut(colons.min(2)))
                    {
                        *bound = Some(number(&written)?);
                    }
                    colons += 1;
                    self.at += 1;
                    self.skip_spaces();
                    (start, end) = (self.at, None);
                }
                '0'..='9' | '-' if end.is_none() => self.at += 1,
                _ => return Err(Exception::Json),
            }
        }
    }
}

fn named(name: String, scan: bool) -> Step {
    match (name.as_str(), scan) {
        ("*", false) => Step::Values,
        ("*", true) => Step::All,
        (_, false) => Step::Names(vec![name]),
        (_, true) => Step::Scan(name),
    }
}

/// An index has to be there.
fn index(written: &str) -> Outcome<i32> {
    if written.is_empty() {
        return Err(Exception::Json);
    }
    number(written)
}

/// `Convert.ToInt32` of digits and signs.
fn number(written: &str) -> Outcome<i32> {
    let digits = written.strip_prefix('-').unwrap_or(written);
    if digits.is_empty() || digits.contains('-') {
        return Err(Exception::Format);
    }
    written.parse().map_err(|_| Exception::Overflow)
}
