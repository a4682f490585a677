//! The XML of a document as a tree of elements with positions: well-formedness,
//! limits and the parts of XML that documents can't use are settled here, what
//! the elements mean is not.

use std::ops::Range;

use quick_xml::XmlVersion;
use quick_xml::errors::{Error as XmlError, IllFormedError, SyntaxError};
use quick_xml::escape::{EscapeError, resolve_xml_entity};
use quick_xml::events::attributes::AttrError;
use quick_xml::events::{BytesDecl, BytesRef, BytesStart, Event};
use quick_xml::reader::Reader;

use crate::Limits;
use crate::error::{Found, Problem};
use crate::report::Reporter;

/// An element.
pub(crate) struct Element {
    pub(crate) name: String,
    /// Its start tag.
    pub(crate) tag: Range<usize>,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) children: Vec<Node>,
    /// The comments that stand in it, not in an element within.
    pub(crate) comments: Vec<Range<usize>>,
    /// Its end tag; nothing long for an empty element or one that does not end.
    pub(crate) end: Range<usize>,
    /// False where the text ends, or stops being XML, before the end tag.
    pub(crate) complete: bool,
    /// Attributes are missing from the list because they were not readable,
    /// which has been reported.
    pub(crate) damaged: bool,
}

/// An attribute, its value normalised and its entities resolved.
pub(crate) struct Attribute {
    pub(crate) name: String,
    pub(crate) at: Range<usize>,
    pub(crate) value: String,
    /// The bytes between the quotes.
    pub(crate) value_at: Range<usize>,
}

/// What stands in an element.
pub(crate) enum Node {
    Element(Element),
    Text(Text),
}

/// Characters, from text, CDATA or an entity.
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) at: Range<usize>,
    /// From a CDATA section: `&` and `<` mean themselves.
    pub(crate) cdata: bool,
    /// Stands for an entity that was not readable, which has been reported.
    pub(crate) damaged: bool,
}

const ENTITIES: &str = "XML has &lt; &gt; &amp; &quot; &apos; and numbers such as &#10; or &#xA;";
const NO_DTD: &str = "a document type definition (<!DOCTYPE …>) is not allowed";
const NO_INSTRUCTION: &str = "a processing instruction (<?…?>) is not allowed";

/// Reads the elements of a text. The first is the root; a second one is an
/// error that is reported here. `base` is where in the document `text` starts;
/// `cut` says that the text was cut off, so that an open end is no news.
pub(crate) fn read(
    text: &str,
    base: usize,
    cut: bool,
    limits: &Limits,
    reporter: &mut Reporter<'_>,
) -> Option<Element> {
    let mut reader = Reader::from_str(text);
    let config = reader.config_mut();
    // Both are checked against our own stack, which knows where each was opened.
    config.check_end_names = false;
    config.allow_unmatched_ends = true;
    let mut builder = Builder {
        text,
        base,
        limits,
        reporter,
        open: Vec::new(),
        root: None,
        elements: 0,
        cut,
    };
    loop {
        let from = position(reader.buffer_position());
        let event = reader.read_event();
        let span = from..position(reader.buffer_position());
        let flow = match event {
            Ok(Event::Eof) => break,
            Ok(event) => builder.event(event, span),
            Err(_) if cut => None,
            Err(error) => {
                let at = position(reader.error_position());
                builder.malformed(&error, at..at.saturating_add(1));
                None
            }
        };
        if flow.is_none() {
            builder.cut = true;
            break;
        }
    }
    builder.finish()
}

fn position(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

struct Builder<'a, 'r, 's> {
    text: &'a str,
    base: usize,
    limits: &'a Limits,
    reporter: &'r mut Reporter<'s>,
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
    cut: bool,
}

/// `None` where reading on would only bring follow-up errors.
type Flow = Option<()>;

impl Builder<'_, '_, '_> {
    fn event(&mut self, event: Event<'_>, span: Range<usize>) -> Flow {
        match event {
            Event::Start(start) => self.start(&start, span, false),
            Event::Empty(start) => self.start(&start, span, true),
            Event::End(end) => self.end(end.name().into_inner(), span),
            Event::Text(text) => {
                if let Some(found) = text.find("]]>") {
                    let at = span.start + found;
                    self.report(
                        Problem::Malformed("\"]]>\" may only stand at the end of a CDATA section"),
                        at..at + 3,
                    );
                }
                self.characters(&text.xml10_content(), span, false, false)
            }
            Event::CData(data) => {
                let content = data.xml10_content().into_owned();
                let inner = span.start.saturating_add("<![CDATA[".len())
                    ..span.end.saturating_sub("]]>".len());
                self.characters(&content, inner, true, false)
            }
            Event::GeneralRef(reference) => {
                let character = self.reference(&reference, &span);
                // A stand-in, so that there is something to be damaged.
                let shown = character.unwrap_or(char::REPLACEMENT_CHARACTER);
                self.characters(
                    shown.encode_utf8(&mut [0; 4]),
                    span,
                    false,
                    character.is_none(),
                )
            }
            Event::Comment(comment) => {
                let at = self.shift(&span);
                if let Some(element) = self.open.last_mut() {
                    element.comments.push(at);
                }
                let last = comment
                    .ends_with('-')
                    .then(|| comment.len().saturating_sub(1));
                if let Some(found) = comment.find("--").or(last) {
                    let at = span.start + "<!--".len() + found;
                    let problem = Problem::Malformed("\"--\" may not stand in a comment");
                    let help = "a comment ends at its first \"-->\"";
                    let error = self.report_with_help(problem, at..at + 2, help);
                    self.earlier(
                        error,
                        span.start..span.start + "<!--".len(),
                        "the comment starts here",
                    );
                }
                Some(())
            }
            Event::Eof => Some(()),
            Event::Decl(declaration) => self.declaration(&declaration, span),
            Event::PI(_) => {
                self.report_with_help(Problem::Refused(NO_INSTRUCTION), span, "leave it out");
                Some(())
            }
            Event::DocType(_) => {
                self.report_with_help(
                    Problem::Refused(NO_DTD),
                    span,
                    "leave it out; nothing in a document needs one",
                );
                // What it declares would be missing from here on.
                None
            }
        }
    }

    fn start(&mut self, start: &BytesStart<'_>, span: Range<usize>, empty: bool) -> Flow {
        self.elements += 1;
        if self.elements > self.limits.max_elements {
            let max = self.limits.max_elements;
            self.report(
                Problem::Limit {
                    what: "elements",
                    max,
                },
                span,
            );
            return None;
        }
        if self.open.len() >= self.limits.max_depth {
            let max = self.limits.max_depth;
            self.report(
                Problem::Limit {
                    what: "elements within each other",
                    max,
                },
                span,
            );
            return None;
        }
        let (attributes, damaged) = self.attributes(start, &span);
        self.open.push(Element {
            name: start.name().into_inner().to_owned(),
            tag: self.shift(&span),
            attributes,
            children: Vec::new(),
            comments: Vec::new(),
            end: self.shift(&(span.end..span.end)),
            complete: false,
            damaged,
        });
        if empty { self.close() } else { Some(()) }
    }

    fn end(&mut self, name: &str, span: Range<usize>) -> Flow {
        let (position, problem, help) = match self.open.last() {
            Some(element) if element.name == name => {
                let at = self.shift(&span);
                if let Some(element) = self.open.last_mut() {
                    element.end = at;
                }
                return self.close();
            }
            Some(element) => (
                Some(element.tag.clone()),
                Problem::Malformed("this end tag does not match the start tag"),
                format!(
                    "write </{}> here",
                    Found::new(&element.name).as_str().escape_debug()
                ),
            ),
            None => (
                None,
                Problem::Malformed("an end tag without a start tag"),
                "leave it out".to_owned(),
            ),
        };
        let error = self.report_with_help(problem, span, help);
        if let (Some(position), Some(error)) = (position, error) {
            self.reporter.earlier(error, position, "opened here");
        }
        None
    }

    fn close(&mut self) -> Flow {
        let mut element = self.open.pop()?;
        element.complete = true;
        self.attach(element);
        Some(())
    }

    /// Hangs a finished element where it belongs.
    fn attach(&mut self, element: Element) {
        match (self.open.last_mut(), &self.root) {
            (Some(parent), _) => parent.children.push(Node::Element(element)),
            (None, None) => self.root = Some(element),
            (None, Some(root)) => {
                let first = root.tag.clone();
                let help = "a document has one <policies> element";
                if let Some(error) = self.reporter.report(
                    Problem::Second("root element"),
                    element.tag,
                    Some(help.to_owned()),
                ) {
                    self.reporter.earlier(error, first, "the first is here");
                }
            }
        }
    }

    fn characters(&mut self, text: &str, span: Range<usize>, cdata: bool, damaged: bool) -> Flow {
        let at = self.shift(&span);
        match self.open.last_mut() {
            Some(element) => element.children.push(Node::Text(Text {
                text: text.to_owned(),
                at,
                cdata,
                damaged,
            })),
            None if is_space(text) => {}
            None => {
                let skipped = text.len() - text.trim_start_matches(SPACE).len();
                let at = span.start.saturating_add(skipped)..span.end;
                let help = "only comments may stand before and after <policies>";
                self.report_with_help(
                    Problem::UnexpectedText {
                        parent: "the document".into(),
                    },
                    at,
                    help,
                );
            }
        }
        Some(())
    }

    fn reference(&mut self, reference: &BytesRef<'_>, span: &Range<usize>) -> Option<char> {
        let found = match reference.resolve_char_ref() {
            Ok(Some(character)) => Some(character).filter(|c| is_xml_character(*c)),
            Ok(None) => resolve_xml_entity(reference).and_then(|text| text.chars().next()),
            Err(_) => None,
        };
        if found.is_none() {
            let problem = Problem::Malformed("unknown entity or character");
            self.report_with_help(problem, span.clone(), ENTITIES);
        }
        found
    }

    fn declaration(&mut self, declaration: &BytesDecl<'_>, span: Range<usize>) -> Flow {
        if span.start != 0 {
            let problem =
                Problem::Malformed("the XML declaration may only be the first thing in a document");
            self.report_with_help(problem, span, "leave it out, or move it to the very start");
            return Some(());
        }
        let start = BytesStart::from_content(&**declaration, "xml".len().min(declaration.len()));
        // The content starts after "<?"; the attributes of a start tag after "<".
        let content = span.start + 1..span.end;
        for attribute in self.attributes(&start, &content).0 {
            let good = match attribute.name.as_str() {
                "version" => attribute.value == "1.0",
                "encoding" => attribute.value.eq_ignore_ascii_case("utf-8"),
                "standalone" => matches!(attribute.value.as_str(), "yes" | "no"),
                _ => false,
            };
            if !good {
                let help = "write <?xml version=\"1.0\" encoding=\"utf-8\"?>, save the file as UTF-8, or leave the declaration out";
                let problem =
                    Problem::Refused("an XML declaration that does not say version 1.0 and UTF-8");
                self.reporter
                    .report(problem, attribute.at, Some(help.to_owned()));
            }
        }
        if declaration.version().is_err() {
            self.report(
                Problem::Malformed("the XML declaration does not start with a version"),
                span,
            );
        }
        Some(())
    }

    /// The attributes that are readable, and whether there are others.
    fn attributes(
        &mut self,
        start: &BytesStart<'_>,
        span: &Range<usize>,
    ) -> (Vec<Attribute>, bool) {
        // What quick-xml reports is relative to the name's first byte.
        let name_at = span.start + 1;
        let mut attributes = Vec::new();
        let mut damaged = false;
        for attribute in start.attributes() {
            let attribute = match attribute {
                Ok(attribute) => attribute,
                Err(error) => {
                    let (problem, at) = attribute_error(&error);
                    let at = name_at.saturating_add(at).min(span.end);
                    self.report(
                        Problem::Malformed(problem),
                        at..at.saturating_add(1).min(span.end),
                    );
                    damaged = true;
                    continue;
                }
            };
            let content = &**start;
            let key = name_at + offset_in(content, attribute.key.into_inner());
            let raw = name_at + offset_in(content, &attribute.value);
            let raw = raw..raw + attribute.value.len();
            let at = key..raw.end.saturating_add(1);
            let before = key
                .checked_sub(1)
                .and_then(|before| self.text.as_bytes().get(before));
            if before.is_some_and(|byte| !byte.is_ascii_whitespace()) {
                self.report(
                    Problem::Malformed("there has to be a space between attributes"),
                    at.clone(),
                );
            }
            if let Some(found) = attribute.value.find('<') {
                let at = raw.start + found;
                self.report_with_help(
                    Problem::Malformed("\"<\" in an attribute"),
                    at..at + 1,
                    "write &lt;",
                );
            }
            let value = match attribute.normalized_value(XmlVersion::Explicit1_0) {
                Ok(value) if value.chars().all(is_xml_character) => value.into_owned(),
                Ok(_) | Err(_) => {
                    self.report_with_help(
                        Problem::Malformed("unknown entity or character"),
                        raw.clone(),
                        ENTITIES,
                    );
                    damaged = true;
                    continue;
                }
            };
            attributes.push(Attribute {
                name: attribute.key.into_inner().to_owned(),
                at: self.shift(&at),
                value,
                value_at: self.shift(&raw),
            });
        }
        (attributes, damaged)
    }

    fn malformed(&mut self, error: &XmlError, at: Range<usize>) {
        let problem = match error {
            XmlError::Syntax(SyntaxError::UnclosedComment) => {
                "this comment is not closed (\"-->\")"
            }
            XmlError::Syntax(SyntaxError::UnclosedCData) => {
                "this CDATA section is not closed (\"]]>\")"
            }
            XmlError::Syntax(SyntaxError::UnclosedDoctype) => NO_DTD,
            XmlError::Syntax(SyntaxError::UnclosedPI | SyntaxError::UnclosedXmlDecl) => {
                "this is not closed (\"?>\")"
            }
            XmlError::Syntax(SyntaxError::UnclosedTag) => "this tag is not closed (\">\")",
            XmlError::Syntax(
                SyntaxError::UnclosedSingleQuotedAttributeValue
                | SyntaxError::UnclosedDoubleQuotedAttributeValue,
            ) => "in this tag, the quote of an attribute is not closed",
            XmlError::Syntax(SyntaxError::InvalidBangMarkup) => {
                "\"<!\" starts neither a comment nor a CDATA section"
            }
            XmlError::IllFormed(IllFormedError::UnclosedReference) => {
                "\"&\" starts an entity that does not end in \";\""
            }
            XmlError::IllFormed(IllFormedError::MissingDoctypeName) => NO_DTD,
            XmlError::Escape(EscapeError::UnterminatedEntity(_)) => {
                "\"&\" starts an entity that does not end in \";\""
            }
            _ => "this is not XML",
        };
        let help = match error {
            XmlError::IllFormed(IllFormedError::UnclosedReference) => {
                Some("write &amp; for \"&\" itself".to_owned())
            }
            XmlError::Syntax(SyntaxError::UnclosedComment) => Some("end it with -->".to_owned()),
            XmlError::Syntax(
                SyntaxError::UnclosedSingleQuotedAttributeValue
                | SyntaxError::UnclosedDoubleQuotedAttributeValue
                | SyntaxError::UnclosedTag,
            ) => Some("a value ends with the quote that it begins with: look for one too many or too few before here".to_owned()),
            _ => None,
        };
        let at = self.shift(&at);
        self.reporter.report(Problem::Malformed(problem), at, help);
    }

    fn finish(mut self) -> Option<Element> {
        if !self.cut {
            // The innermost is enough: closing it is what the author has to do first.
            if let Some(element) = self.open.last() {
                let help = format!(
                    "end it with </{}>",
                    Found::new(&element.name).as_str().escape_debug()
                );
                let tag = element.tag.clone();
                self.reporter.report(
                    Problem::Malformed("this element is not closed"),
                    tag,
                    Some(help),
                );
            }
        }
        while let Some(element) = self.open.pop() {
            self.attach(element);
        }
        self.root
    }

    fn shift(&self, span: &Range<usize>) -> Range<usize> {
        span.start.saturating_add(self.base)..span.end.saturating_add(self.base)
    }

    fn earlier(&mut self, error: Option<usize>, span: Range<usize>, label: &'static str) {
        if let Some(error) = error {
            self.reporter.earlier(error, self.shift(&span), label);
        }
    }

    fn report(&mut self, problem: Problem, span: Range<usize>) {
        let span = self.shift(&span);
        self.reporter.report(problem, span, None);
    }

    fn report_with_help(
        &mut self,
        problem: Problem,
        span: Range<usize>,
        help: impl Into<String>,
    ) -> Option<usize> {
        let span = self.shift(&span);
        self.reporter.report(problem, span, Some(help.into()))
    }
}

/// Where `part`, a slice of `whole`, starts in it.
fn offset_in(whole: &str, part: &str) -> usize {
    (part.as_ptr() as usize)
        .checked_sub(whole.as_ptr() as usize)
        .filter(|offset| *offset <= whole.len())
        .unwrap_or(0)
}

fn attribute_error(error: &AttrError) -> (&'static str, usize) {
    match error {
        AttrError::ExpectedEq(at) => ("an attribute without \"=\"", *at),
        AttrError::ExpectedValue(at) => ("an attribute without a value", *at),
        AttrError::UnquotedValue(at) => ("an attribute's value without quotes", *at),
        AttrError::ExpectedQuote(at, _) => ("an attribute's value that is not closed", *at),
        AttrError::Duplicated(at, _) => ("an attribute that is already there", *at),
    }
}

/// The characters that XML counts as space.
pub(crate) const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

pub(crate) fn is_space(text: &str) -> bool {
    text.trim_matches(SPACE).is_empty()
}

/// The characters that may stand in XML 1.0, as they are or as a number.
pub(crate) fn is_xml_character(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}
