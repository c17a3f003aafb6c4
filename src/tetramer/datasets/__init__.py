"""Tables of molecules with labels, their splits, and public data sets.

`tables` reads, `writing` writes, `labels` makes numbers of target columns, `splits` says which row does what,
`sources` fetches public sets.
"""
