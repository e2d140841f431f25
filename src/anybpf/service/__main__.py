"""``python -m anybpf.service``: what starts on demand; the same as ``anybpf service run``."""

from anybpf.service.running import main

raise SystemExit(main())
