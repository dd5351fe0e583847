"""What ``holdfast demo`` shows: an agent whose server is killed in the middle of its work.

``agent`` is the program served, ``model`` the pretended model it pays for, ``ledger`` the file
outside the runtime in which every call of the model leaves its mark, ``server`` the child process
that gets killed, and ``story`` what happens and what is said about it. Nothing here knows more of
Holdfast than any user does.
"""
