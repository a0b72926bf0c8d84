//! Hash map in hash order, with elastic growth in place.
