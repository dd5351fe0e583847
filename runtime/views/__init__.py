"""What the rows of a store tell of many invocations and objects, as values, at one moment.

Everything here reads a ``StoreView``, so it may run in another thread, and reads a directory of
another process as well as the store of this one. A value decodes what it is asked for, when it is
asked: a list of a million invocations costs what is looked at.
"""
