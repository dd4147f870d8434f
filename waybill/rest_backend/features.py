"""What the backend can do, for Django and for Django's own tests."""

from django.db.backends.base.features import BaseDatabaseFeatures

from waybill.rest.filters import MOST_VALUES


class DatabaseFeatures(BaseDatabaseFeatures):
    """No SQL, no transactions; values as JSON has them."""

    max_query_params = MOST_VALUES  # Django asks for more ids in several queries
    supports_transactions = False  # pyright: ignore[reportAssignmentType] - Django asks the database, once
    uses_savepoints = False
    can_rollback_ddl = False
    can_defer_constraint_checks = False
    supports_foreign_keys = False  # a service has them or has not; no constraint spans two services
    supports_forward_references = False
    has_bulk_insert = True
    can_return_columns_from_insert = True
    can_return_rows_from_bulk_insert = True
    supports_ignore_conflicts = False
    supports_update_conflicts = False
    supports_update_conflicts_with_target = False
    has_select_for_update = False
    supports_select_for_update_with_limit = False
    has_native_uuid_field = True
    has_native_duration_field = True
    has_native_json_field = True
    can_introspect_json_field = False
    supports_json_field = True
    supports_json_field_contains = False
    supports_primitives_in_json_field = True
    has_json_object_function = False
    supports_over_clause = False
    supports_select_union = False
    supports_select_intersection = False
    supports_select_difference = False
    supports_explaining_query_execution = False  # pyright: ignore[reportAssignmentType] - likewise
    supports_regex_backreferencing = False
    supports_expression_indexes = False
    supports_partial_indexes = False
    supports_inspectdb = False
    supports_sequence_reset = False
    supports_tablespaces = False
    supports_date_lookup_using_string = False
    supports_temporal_subtraction = False
    supports_aggregate_filter_clause = False
    supports_order_by_nulls_modifier = False
    order_by_nulls_first = False
    allow_sliced_subqueries_with_in = True
    supports_paramstyle_pyformat = False
    supports_comments = False
    supports_collation_on_charfield = False
    supports_collation_on_textfield = False
    supports_non_deterministic_collations = False
    supports_virtual_generated_columns = False
    supports_stored_generated_columns = False
    supports_tuple_lookups = False
    requires_literal_defaults = True
    test_collations = dict.fromkeys(("ci", "cs", "non_default", "swedish_ci", "virtual"))
