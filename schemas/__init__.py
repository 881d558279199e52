"""The store's tables, in SQL files numbered in order, and the one way to open a store."""
