//! The one way out for anything that carries a credential
