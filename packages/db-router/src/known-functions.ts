/**
 * Functions of Postgres that write nothing, lock nothing, keep no state and mean the same on a replica, so a
 * call to them leaves a SELECT a read. A few entries are words that look like calls (`filter (`, `over (`)
 * and may also be names of functions.
 */
export const SAFE_FUNCTIONS: ReadonlySet<string> = new Set(
  `abs acos acosd acosh age any_value area array_agg array_append array_cat array_dims array_fill
  array_length array_lower array_ndims array_position array_positions array_prepend array_remove
  array_replace array_reverse array_sample array_shuffle array_sort array_to_json array_to_string
  array_to_tsvector array_upper ascii asin asind asinh atan atan2 atan2d atand atanh avg bernoulli
  bit_and bit_count bit_length bit_or bit_xor bool_and bool_or bound_box box brackets broadcast btrim by
  cardinality casefold cbrt ceil ceiling center char_length character_length chr circle clock_timestamp
  col_description columns concat concat_ws convert convert_from convert_to corr cos cosd cosh cot cotd
  count covar_pop covar_samp crc32 crc32c cross cube cume_dist current_catalog current_database
  current_date current_query current_role current_schema current_schemas current_setting current_time
  current_timestamp current_user date date_add date_bin date_part date_subtract date_trunc datemultirange
  daterange decode degrees dense_rank diagonal diameter div encode enum_first enum_last enum_range erf
  erfc every exp factorial family filter first_value floor format format_type full gamma gcd
  gen_random_uuid generate_series generate_subscripts get_bit get_byte get_current_ts_config
  has_any_column_privilege has_column_privilege has_database_privilege has_function_privilege
  has_schema_privilege has_sequence_privilege has_table_privilege has_type_privilege height host hostmask
  ilike inet_client_addr inet_client_port inet_merge inet_same_family inet_server_addr inet_server_port
  initcap inner int4 int4multirange int4range int8 int8multirange int8range is isclosed isempty isfinite
  isnull isopen join json_agg json_agg_strict json_array json_array_elements json_array_elements_text
  json_array_length json_arrayagg json_build_array json_build_object json_each json_each_text json_exists
  json_extract_path json_extract_path_text json_object json_object_agg json_object_agg_strict
  json_object_agg_unique json_object_keys json_objectagg json_populate_record json_populate_recordset
  json_query json_scalar json_serialize json_strip_nulls json_table json_to_record json_to_recordset
  json_to_tsvector json_typeof json_value jsonb_agg jsonb_agg_strict jsonb_array_elements
  jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each
  jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object jsonb_object_agg
  jsonb_object_agg_strict jsonb_object_agg_unique jsonb_object_keys jsonb_path_exists
  jsonb_path_exists_tz jsonb_path_match jsonb_path_match_tz jsonb_path_query jsonb_path_query_array
  jsonb_path_query_array_tz jsonb_path_query_first jsonb_path_query_first_tz jsonb_path_query_tz
  jsonb_populate_record jsonb_populate_recordset jsonb_pretty jsonb_set jsonb_set_lax jsonb_strip_nulls
  jsonb_to_record jsonb_to_recordset jsonb_to_tsvector jsonb_typeof justify_days justify_hours
  justify_interval lag last_value lcm lead left length lgamma like line ln log log10 lower lower_inc
  lower_inf lpad lseg ltrim macaddr8_set7bit make_date make_interval make_time make_timestamp
  make_timestamptz masklen materialized max md5 merge_action min min_scale mod mode multirange natural
  netmask network normalize notnull now npoints nth_value ntile num_nonnulls num_nulls numeric
  nummultirange numnode numrange obj_description octet_length ordinality outer over overlaps parse_ident
  path pclose percent_rank percentile_cont percentile_disc pg_char_to_encoding pg_client_encoding
  pg_collation_for pg_column_compression pg_column_size pg_encoding_to_char pg_get_constraintdef
  pg_get_expr pg_get_function_arguments pg_get_function_identity_arguments pg_get_function_result
  pg_get_functiondef pg_get_indexdef pg_get_keywords pg_get_partkeydef pg_get_ruledef
  pg_get_serial_sequence pg_get_statisticsobjdef pg_get_triggerdef pg_get_userbyid pg_get_viewdef
  pg_has_role pg_indexes_size pg_is_in_recovery pg_last_wal_receive_lsn pg_last_wal_replay_lsn
  pg_last_xact_replay_timestamp pg_lsn pg_postmaster_start_time pg_relation_filenode pg_relation_size
  pg_size_bytes pg_size_pretty pg_table_is_visible pg_table_size pg_tablespace_location
  pg_total_relation_size pg_type_is_visible pg_typeof pg_wal_lsn_diff phraseto_tsquery pi plainto_tsquery
  point polygon popen position power quote_ident quote_literal quote_nullable radians radius random
  random_normal range_agg range_intersect_agg range_merge rank regclass regexp_count regexp_instr
  regexp_like regexp_match regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table
  regexp_substr regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy
  regr_syy repeat repeatable replace reverse right rollup round row_number row_security_active
  row_to_json rpad rtrim scale second session_user set_bit set_byte set_masklen sets setweight sha224 sha256
  sha384 sha512 shobj_description sign similar sin sind sinh slope split_part sqrt starts_with
  statement_timestamp stddev stddev_pop stddev_samp string_agg string_to_array string_to_table strip
  strpos substr substring sum system tan tand tanh text timeofday timestamp timestamptz timezone to_ascii
  to_bin to_char to_date to_hex to_json to_jsonb to_number to_oct to_regclass to_regcollation
  to_regnamespace to_regoper to_regoperator to_regproc to_regprocedure to_regrole to_regtype to_timestamp
  to_tsquery to_tsvector transaction_timestamp translate trim_array trim_scale trunc ts_debug ts_delete
  ts_filter ts_headline ts_lexize ts_parse ts_rank ts_rank_cd ts_token_type tsmultirange tsquery_phrase
  tsrange tstzmultirange tstzrange tsvector tsvector_to_array unicode_assigned unicode_version unistr
  unnest upper upper_inc upper_inf user uuid uuid_extract_timestamp uuid_extract_version uuidv4 uuidv7
  var_pop var_samp variance verbose version websearch_to_tsquery width width_bucket within
  xml_is_well_formed xml_is_well_formed_content xml_is_well_formed_document xmlagg xmlcomment xmltext
  xpath xpath_exists`.split(/\s+/),
)

/**
 * Words before a parenthesis that can never be the unquoted name of a function: reserved words, types with a
 * length, and constructs with a grammar of their own.
 */
export const NOT_CALLS: ReadonlySet<string> = new Set(
  `all and any array as asc between bit case cast char character coalesce collate dec decimal desc
  distinct else end except exists extract fetch float for from greatest group grouping having in
  intersect interval lateral least localtime localtimestamp limit national nchar not nullif offset on only operator or order
  overlay returning row select setof some symmetric table then time to trim union using values
  varchar variadic varying when where window with xmlattributes xmlconcat xmlelement xmlexists xmlforest
  xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable`.split(/\s+/),
)

/** Relations and functions that describe the server they are asked on; their answer must be the primary's. */
export const PER_SERVER =
  /^"?pg_(?:stat|statio|locks|cursors|prepared|settings|replication|hba|ident_file|file_settings|shmem|backend|config|available_wal|wal|listening|publication_tables_|ls_|read_)/
