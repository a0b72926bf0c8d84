//! Mark-sweep collector over bucket pages.
