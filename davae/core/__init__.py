"""What everything rests on: experiments, keys, randomness, records, the store."""
