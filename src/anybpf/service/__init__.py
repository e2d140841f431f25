"""The service: a daemon that keeps programs, maps, links and pins between commands.

One process per user and platform (``server``) around one shared runtime (``keeping``). Clients talk
to it over a Unix socket (``wire``) and get maps as memory of their own; their face is
``anybpf.backends.service``. Objects are verified in processes without privileges (``proving``).
"""
