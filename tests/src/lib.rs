//! What proves Keyward's promises
