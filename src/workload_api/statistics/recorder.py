"""Counts the requests of this process and writes them down, each to the epoch in which it began (§5, §8).

A promote or a reset begins a new epoch. Which one a request belongs to is decided when it is written, under the
lock of its workload's row: to the present one if the process knew that epoch when the request began, or if it began
after the reset; else to an older one. So a request from before a reset never shows after it, however late it ends or is
written, and one from after it always does, even in a process that had not heard of it yet.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import batched
from typing import Any

import structlog
from sqlalchemy import Row, Table, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.db.engine import Database
from workload_api.db.locks import locked
from workload_api.db.models import ProtonRow, RequestCountRow, ResponseTimeRow, WorkloadRow
from workload_api.statistics.histogram import bucket_of

log = structlog.get_logger(__name__)
