"""Which runs are compared, what differs between them, and what each got right.

member       one finished run: its settings, its validation objective, where its files are
selection    runs by name, sweep, experiment or MLflow filter
setting      runs that differ in their seed or fold only
origin       code and data that they came of
cases        the cases that all have
measure      scores of a setting, with their errors, and a setting against the reference
verdict      what follows once all are known: intervals, adjusted p, verdicts, forecasts
"""
