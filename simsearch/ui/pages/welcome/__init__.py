"""The page of a first visit, when there is no index yet."""
