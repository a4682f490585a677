//! Policy documents (XML) read and checked
