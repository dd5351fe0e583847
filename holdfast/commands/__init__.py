"""Commands of ``holdfast`` that ask a running server; one module for each noun.

``connection`` says which server and with which tokens, ``printing`` is how answers look, ``files``
is for those that read a directory themselves. What is listed comes from SQL at the operators' port,
what is done goes through ``Client``.
"""
