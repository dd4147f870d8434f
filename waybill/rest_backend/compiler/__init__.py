"""Django's compilers, where it looks for them: `reads` and `writes` make requests of queries."""

from waybill.rest_backend.compiler.reads import SQLAggregateCompiler, SQLCompiler
from waybill.rest_backend.compiler.writes import SQLDeleteCompiler, SQLInsertCompiler, SQLUpdateCompiler

__all__ = ["SQLAggregateCompiler", "SQLCompiler", "SQLDeleteCompiler", "SQLInsertCompiler", "SQLUpdateCompiler"]
