//! The attacker: terms, and what can be computed from those that it was shown.

use std::collections::BTreeSet;

/// Something that can be known. Keys are counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Term {
    /// A word of the attacker's own.
    Word(u32),
    /// What the host writes for a protocol, with a field of the attacker's choice in it: a
    /// string to sign, a token's header and claims.
    Host(Box<Term>),
    /// What is no secret of a key: a subject, an account's name, a row.
    Public(usize),
    /// The value of a key.
    Key(usize),
    /// A code or signature under a key. It gives away what it is of, and not the key.
    Proof(usize, Box<Term>),
    /// What a key was traded for, and whoever has it may use.
    Bearer(usize),
    /// A box that the key opens.
    Sealed(usize, Box<Term>),
    /// Two things.
    Pair(Box<Term>, Box<Term>),
}

/// What must never be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Breach {
    /// The value of a key.
    Key(usize),
    /// A bearer.
    Bearer(usize),
    /// A proof of chosen words under a key that vouches for something.
    Proof(Term),
}

/// What the attacker knows.
pub(crate) struct Attacker {
    known: BTreeSet<Term>,
    words: u32,
    /// For each key, whether somebody believes what is signed with it.
    vouches: Vec<bool>,
}

impl Attacker {
    pub(crate) fn new(keys: usize) -> Self {
        let mut attacker = Self {
            known: BTreeSet::new(),
            words: 0,
            vouches: vec![false; keys],
        };
        attacker.word();
        attacker
    }

    /// A word that it has made up.
    pub(crate) fn word(&mut self) -> Term {
        let word = Term::Word(self.words);
        self.words += 1;
        self.sees(word.clone());
        word
    }

    /// Somebody believes what is signed with that key.
    pub(crate) fn is_believed(&mut self, key: usize) {
        self.vouches[key] = true;
    }

    /// It is shown something, and takes it apart as far as it can.
    pub(crate) fn sees(&mut self, term: Term) {
        if !self.known.insert(term.clone()) {
            return;
        }
        match term {
            Term::Pair(one, other) => {
                self.sees(*one);
                self.sees(*other);
            }
            Term::Proof(_, of) | Term::Host(of) => self.sees(*of),
            Term::Sealed(key, inside) if self.known.contains(&Term::Key(key)) => self.sees(*inside),
            // With a key come the boxes that were shown before it.
            Term::Key(key) => {
                let boxes: Vec<Term> = self.known.iter().cloned().collect();
                for boxed in boxes {
                    if let Term::Sealed(own, inside) = boxed
                        && own == key
                    {
                        self.sees(*inside);
                    }
                }
            }
            _ => {}
        }
    }

    /// Whether it can put this together from what it knows.
    pub(crate) fn knows(&self, term: &Term) -> bool {
        if self.known.contains(term) {
            return true;
        }
        match term {
            Term::Pair(one, other) => self.knows(one) && self.knows(other),
            // Formats are public.
            Term::Host(of) => self.knows(of),
            Term::Proof(key, of) => self.knows(&Term::Key(*key)) && self.knows(of),
            Term::Sealed(key, inside) => self.knows(&Term::Key(*key)) && self.knows(inside),
            Term::Word(_) | Term::Public(_) | Term::Key(_) | Term::Bearer(_) => false,
        }
    }

    /// One of the things that it knows and can give as an argument: what it was shown, or
    /// something in the form of a protocol, or a pair.
    pub(crate) fn chooses(&mut self, choice: u8) -> Term {
        let known: Vec<Term> = self.known.iter().cloned().collect();
        let one = known[usize::from(choice) % known.len()].clone();
        match choice % 5 {
            0 => self.word(),
            1 => Term::Host(Box::new(one)),
            2 => {
                let word = self.word();
                Term::Pair(Box::new(one), Box::new(word))
            }
            _ => one,
        }
    }

    /// What it knows that it must not.
    pub(crate) fn breach(&self) -> Option<Breach> {
        self.known.iter().find_map(|term| match term {
            Term::Key(key) => Some(Breach::Key(*key)),
            Term::Bearer(key) => Some(Breach::Bearer(*key)),
            Term::Proof(key, of) if self.vouches[*key] && matches!(**of, Term::Host(_)) => {
                Some(Breach::Proof(term.clone()))
            }
            _ => None,
        })
    }
}
