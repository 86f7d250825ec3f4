//! The emoji retrieval set: the same emoji drawn by up to nine designers.
