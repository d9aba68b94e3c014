"""The vectors that search is measured on: real ones, and made ones that were checked against them."""
