"""What ``holdfast demo`` shows: an agent whose server is killed in the middle of its work.

``agent`` is the program served, ``model`` the scripted model it asks over HTTP, which lives in the
process of the demo and keeps a record of every request, ``server`` the child process that gets
killed, ``caller`` who waits for the answer, and ``story`` what happens and what is said about it.
Nothing here knows more of Holdfast than any user does.
"""
