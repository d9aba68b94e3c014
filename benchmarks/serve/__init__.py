"""simsearch serve under a bounded load: many clients at once, in batches and one by one."""
