/** Error texts as people paste them, each with the code that diagnose_error is to answer. */

import { readFileSync } from "node:fs";

const dlt = (inner: string, step = "load"): string =>
  `Traceback (most recent call last):
  File "/app/pipeline.py", line 12, in <module>
    pipeline.run(source())
dlt.pipeline.exceptions.PipelineStepFailed: Pipeline execution failed at \`step=${step}\` when processing package with \`load_id=1763836242.123\` with exception:

<class 'dlt.load.exceptions.LoadClientJobFailed'>
Job with \`job_id=orders.5ea09d9679.insert_values\` and \`load_id=1763836242.123\` failed terminally with message: ${inner}. The package is aborted and cannot be retried.`;
const python = (inner: string): string =>
  `Traceback (most recent call last):
  File "/venv/lib/python3.12/site-packages/dlt/destinations/impl/postgres/sql_client.py", line 95, in execute_query
    curr.execute(query, db_args)
${inner}

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/run.py", line 3, in <module>
    main()
dlt.pipeline.exceptions.PipelineStepFailed: Pipeline execution failed at step=load`;
const node = (message: string, fields = ""): string =>
  `error: ${message}
    at Parser.parseErrorMessage (/app/node_modules/pg-protocol/dist/parser.js:285:98)
    at Socket.<anonymous> (/app/node_modules/pg-protocol/dist/index.js:11:42) {
  ${fields}
}`;
const fetched = (cause: string): string =>
  `TypeError: fetch failed
    at node:internal/deps/undici/undici:13510:13 {
  [cause]: ${cause}
}`;

export const ERROR_CORPUS: readonly (readonly [code: string, text: string])[] = [
  // Postgres
  ["PG_RELATION_MISSING", node('relation "shop.orders" does not exist', "code: '42P01', severity: 'ERROR'")],
  [
    "PG_RELATION_MISSING",
    'ERROR:  42P01: relation "tmp_stage" does not exist\nLINE 1: select * from tmp_stage',
  ],
  [
    "PG_COLUMN_MISSING",
    'psycopg2.errors.UndefinedColumn: column "channel" of relation "orders" does not exist',
  ],
  ["PG_COLUMN_MISSING", node('column "Amount" does not exist', "code: '42703'")],
  ["PG_SCHEMA_MISSING", 'ERROR: schema "shop_data" does not exist (SQLSTATE 3F000)'],
  ["PG_SCHEMA_MISSING", python('psycopg2.errors.InvalidSchemaName: schema "raw" does not exist')],
  ["PG_ALREADY_EXISTS", 'ERROR: relation "orders_staging" already exists'],
  ["PG_ALREADY_EXISTS", node('column "note" of relation "orders" already exists', "code: '42701'")],
  [
    "PG_UNIQUE_VIOLATION",
    node(
      'duplicate key value violates unique constraint "orders_pkey"',
      "code: '23505', detail: 'Key (id)=(7) already exists.'",
    ),
  ],
  [
    "PG_UNIQUE_VIOLATION",
    python(
      'psycopg2.errors.UniqueViolation: duplicate key value violates unique constraint "orders_pkey"\nDETAIL:  Key (email)=(a@b.example) already exists.',
    ),
  ],
  ["PG_UNIQUE_VIOLATION", dlt('duplicate key value violates unique constraint "orders__dlt_id_key"')],
  [
    "PG_UNIQUE_VIOLATION",
    "ERROR: doppelter Schlüsselwert verletzt Unique-Constraint »orders_pkey« (SQLSTATE 23505)",
  ],
  ["PG_SAME_KEY_TWICE_IN_BATCH", "ERROR: ON CONFLICT DO UPDATE command cannot affect row a second time"],
  [
    "PG_SAME_KEY_TWICE_IN_BATCH",
    python("psycopg2.errors.CardinalityViolation: MERGE command cannot affect row a second time"),
  ],
  ["PG_NO_UNIQUE_INDEX", "there is no unique or exclusion constraint matching the ON CONFLICT specification"],
  [
    "PG_NO_UNIQUE_INDEX",
    '{"severity":"ERROR","code":"42P10","message":"there is no unique or exclusion constraint"}',
  ],
  ["PG_NULL_IN_REQUIRED", 'null value in column "id" of relation "orders" violates not-null constraint'],
  ["PG_NULL_IN_REQUIRED", 'ERROR: 23502: column "id" of relation "orders" contains null values'],
  [
    "PG_FOREIGN_KEY",
    'insert or update on table "items" violates foreign key constraint "items_order_id_fkey"',
  ],
  ["PG_FOREIGN_KEY", python('psycopg2.errors.ForeignKeyViolation: update or delete on table "orders"')],
  ["PG_INVALID_TEXT", 'ERROR: invalid input syntax for type integer: "n/a"'],
  [
    "PG_INVALID_TEXT",
    dlt('invalid input syntax for type double precision: "NaN%" CONTEXT: COPY orders, line 3, column price'),
  ],
  [
    "PG_DATETIME",
    'date/time field value out of range: "31/01/2024"\nHINT: Perhaps you need a different "datestyle" setting.',
  ],
  [
    "PG_DATETIME",
    'ERROR: invalid input syntax for type timestamp with time zone: "0000-00-00" (SQLSTATE 22007)',
  ],
  ["PG_NUMBER_OUT_OF_RANGE", 'value "9999999999" is out of range: integer out of range'],
  [
    "PG_NUMBER_OUT_OF_RANGE",
    node("numeric field overflow", "code: '22003', detail: 'A field with precision 10, scale 2'"),
  ],
  ["PG_TEXT_TOO_LONG", "value too long for type character varying(50)"],
  ["PG_TEXT_TOO_LONG", python("psycopg2.errors.StringDataRightTruncation: value too long")],
  ["PG_BYTES_NOT_UTF8", 'invalid byte sequence for encoding "UTF8": 0x00'],
  ["PG_BYTES_NOT_UTF8", "FATAL sqlstate=22021 while copying"],
  ["PG_NUL_IN_JSON", "unsupported Unicode escape sequence\nDETAIL:  \\u0000 cannot be converted to text."],
  ["PG_NUL_IN_JSON", "error 22P05 in COPY orders, line 1, column payload"],
  ["PG_COPY_FORMAT", 'extra data after last expected column\nCONTEXT: COPY orders, line 2: "1,2,3,4"'],
  ["PG_COPY_FORMAT", 'ERROR: missing data for column "note" (22P04)'],
  ["PG_CAST_NEEDED", 'column "amount" cannot be cast automatically to type numeric'],
  ["PG_CAST_NEEDED", "SQLSTATE[42804]: datatype mismatch"],
  [
    "PG_DEPENDENT_OBJECTS",
    "cannot alter type of a column used by a view or rule\nDETAIL: rule _RETURN on view v_orders",
  ],
  ["PG_DEPENDENT_OBJECTS", "cannot drop table orders because other objects depend on it (2BP01)"],
  ["PG_CACHED_PLAN", "error: cached plan must not change result type"],
  ["PG_CACHED_PLAN", python("psycopg.errors.FeatureNotSupported: cached plan must not change result type")],
  ["PG_PERMISSION", "permission denied for schema raw"],
  ["PG_PERMISSION", "ERROR:  must be owner of table orders (SQLSTATE 42501)"],
  ["PG_READ_ONLY", "cannot execute INSERT in a read-only transaction"],
  ["PG_READ_ONLY", python("psycopg2.errors.ReadOnlySqlTransaction: cannot execute CREATE TABLE")],
  [
    "PG_TRANSACTION_ABORTED",
    "current transaction is aborted, commands ignored until end of transaction block",
  ],
  ["PG_TRANSACTION_ABORTED", "psycopg2.errors.InFailedSqlTransaction"],
  ["PG_STATEMENT_TIMEOUT", "canceling statement due to statement timeout"],
  [
    "PG_STATEMENT_TIMEOUT",
    dlt("canceling statement due to statement timeout CONTEXT: while inserting index tuple"),
  ],
  ["PG_LOCK_TIMEOUT", "ERROR: canceling statement due to lock timeout"],
  ["PG_LOCK_TIMEOUT", node('could not obtain lock on row in relation "orders"', "code: '55P03'")],
  ["PG_DEADLOCK", "deadlock detected\nDETAIL: Process 123 waits for ShareLock on transaction 456"],
  ["PG_DEADLOCK", "could not serialize access due to concurrent update (40001)"],
  ["PG_IDLE_IN_TRANSACTION", "FATAL: terminating connection due to idle-in-transaction timeout"],
  ["PG_IDLE_IN_TRANSACTION", "server sent SQLSTATE 25P03 and closed"],
  ["PG_SERVER_RESTART", "FATAL: terminating connection due to administrator command"],
  ["PG_SERVER_RESTART", "FATAL: 57P03: the database system is starting up"],
  ["PG_TOO_MANY_CONNECTIONS", "FATAL: sorry, too many clients already"],
  [
    "PG_TOO_MANY_CONNECTIONS",
    "remaining connection slots are reserved for roles with the SUPERUSER attribute",
  ],
  [
    "PG_OUT_OF_RESOURCES",
    'ERROR: could not extend file "base/16384/2619": No space left on device\nHINT: Check free disk space.',
  ],
  [
    "PG_OUT_OF_RESOURCES",
    node("out of memory", "code: '53200', detail: 'Failed on request of size 8388608.'"),
  ],
  ["PG_PASSWORD", 'FATAL: password authentication failed for user "postgres"'],
  ["PG_PASSWORD", node("contraseña incorrecta", "code: '28P01'")],
  ["PG_HBA", 'no pg_hba.conf entry for host "10.1.2.3", user "loader", database "app", no encryption'],
  ["PG_HBA", "FATAL: 28000: no pg_hba.conf entry, SSL off"],
  ["PG_DATABASE_MISSING", 'FATAL:  database "postgre" does not exist'],
  ["PG_DATABASE_MISSING", python("psycopg2.errors.InvalidCatalogName: la base de datos no existe")],
  ["PG_TOO_WIDE", "tables can have at most 1600 columns"],
  ["PG_TOO_WIDE", "index row requires 9120 bytes, maximum size is 8191 (SQLSTATE 54000)"],
  [
    "PG_IDENTIFIER_TRUNCATED",
    'NOTICE:  identifier "a_very_long_name__with_children" will be truncated to "a_very_long"',
  ],
  ["PG_IDENTIFIER_TRUNCATED", "NOTICE 42622 while creating table"],
  ["PG_BIND_PARAMETERS", "bind message has 34464 parameter formats but 0 parameters"],
  [
    "PG_BIND_PARAMETERS",
    'error: bind message supplies 4464 parameters, but prepared statement "" requires 70000 (08P01)',
  ],
  [
    "PG_OPERATOR_MISSING",
    "operator does not exist: text = integer\nHINT: No operator matches the given name",
  ],
  ["PG_OPERATOR_MISSING", "ERROR 42883 (undefined_function)"],
  [
    "PG_CONNECTION_LOST",
    "Error: Connection terminated unexpectedly\n    at Connection.<anonymous> (/app/node_modules/pg/lib/client.js:136:73)",
  ],
  [
    "PG_CONNECTION_LOST",
    python(
      "psycopg2.OperationalError: server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally",
    ),
  ],
  ["PG_CONNECT_TIMEOUT", "Error: timeout exceeded when trying to connect"],
  [
    "PG_CONNECT_TIMEOUT",
    'psycopg2.OperationalError: connection to server at "10.0.0.5", port 5432 failed: timeout expired',
  ],
  ["PG_PASSWORD_NOT_SET", "SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string"],
  ["PG_PASSWORD_NOT_SET", "psycopg2.OperationalError: fe_sendauth: no password supplied"],
  ["PG_NO_SSL", "The server does not support SSL connections"],
  ["PG_NO_SSL", "server does not support SSL, but SSL was required"],
  // Supabase and poolers
  ["SUPABASE_TENANT_UNKNOWN", "FATAL: Tenant or user not found"],
  ["SUPABASE_TENANT_UNKNOWN", "error: (ENOTFOUND) tenant/user postgres.abcdefghij not found"],
  [
    "SUPABASE_SESSION_POOL_FULL",
    "MaxClientsInSessionMode: max clients reached - in Session mode max clients are limited to pool_size",
  ],
  ["SUPABASE_SESSION_POOL_FULL", "FATAL: (EMAXCONNSESSION) max clients reached in session mode"],
  ["SUPABASE_POOL_FULL", "FATAL: Max client connections reached"],
  ["SUPABASE_POOL_FULL", node("(EMAXCONN) max client connections reached, limit: 200", "code: 'XX000'")],
  [
    "SUPABASE_CHECKOUT_TIMEOUT",
    "(ECHECKOUTTIMEOUT) unable to check out connection from the pool after 60000ms",
  ],
  ["SUPABASE_CHECKOUT_TIMEOUT", "Unable to check out connection from the pool due to timeout"],
  ["SUPABASE_CIRCUIT_BREAKER", "Circuit breaker open: Unable to establish connection to upstream database"],
  [
    "SUPABASE_CIRCUIT_BREAKER",
    "FATAL: (ECIRCUITBREAKER) too many authentication failures, new connections are temporarily blocked",
  ],
  ["SUPABASE_SSL_REQUIRED", "FATAL: SSL connection is required"],
  ["SUPABASE_SSL_REQUIRED", "(ESSLREQUIRED) the tenant enforces encryption"],
  ["POOLER_PREPARED_STATEMENT", 'prepared statement "s1" already exists'],
  [
    "POOLER_PREPARED_STATEMENT",
    python('psycopg.errors.InvalidSqlStatementName: prepared statement "_pg3_0" does not exist'),
  ],
  ["SUPABASE_BACKEND_EXITED", "DbHandler exited: {:shutdown, :client_termination}"],
  [
    "SUPABASE_BACKEND_EXITED",
    "(EDBHANDLEREXITED) connection to database closed. Check logs for more information.",
  ],
  ["SUPABASE_ADDRESS_NOT_ALLOWED", "(EADDRNOTALLOWED) address not in tenant allow_list: {10,0,0,1}"],
  ["SUPABASE_ADDRESS_NOT_ALLOWED", "FATAL: address not in tenant allow_list"],
  ["SUPABASE_USER_FORMAT", "FATAL: Invalid format for user or db_name"],
  ["SUPABASE_USER_FORMAT", node("Invalid format for user or db_name", "severity: 'FATAL'")],
  ["NETWORK_UNREACHABLE", "Error: connect ENETUNREACH 2600:1f18:1234::1:5432 - Local (:::0)"],
  [
    "NETWORK_UNREACHABLE",
    'connection to server at "db.abcdefghijklmnopqrst.supabase.co" (2a05:d014::1), port 5432 failed: Network is unreachable',
  ],
  ["SUPABASE_HOST_UNKNOWN", "Error: getaddrinfo ENOTFOUND db.abcdefghijklmnopqrst.supabase.co"],
  [
    "SUPABASE_HOST_UNKNOWN",
    'psycopg2.OperationalError: could not translate host name "db.abcdefghijklmnopqrst.supabase.co" to address: Name or service not known',
  ],
  [
    "CONNECTION_REFUSED",
    fetched(
      "AggregateError [ECONNREFUSED]: \n    [errors]: [ Error: connect ECONNREFUSED ::1:5432, Error: connect ECONNREFUSED 127.0.0.1:5432 ]",
    ),
  ],
  [
    "CONNECTION_REFUSED",
    'connection to server at "localhost" (127.0.0.1), port 5432 failed: Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?',
  ],
  ["POOLER_STARTUP_PARAMETER", "FATAL:  unsupported startup parameter: extra_float_digits"],
  ["POOLER_STARTUP_PARAMETER", node("unsupported startup parameter: options", "code: '08P01'")],
  ["PGBOUNCER_LIMIT", "FATAL: no more connections allowed (max_client_conn)"],
  ["PGBOUNCER_LIMIT", "FATAL: query_wait_timeout"],
  // DuckDB
  [
    "DUCKDB_LOCKED",
    'IO Error: Could not set lock on file "/data/shop.duckdb": Conflicting lock is held in /usr/bin/python3.12 (PID 4711)',
  ],
  [
    "DUCKDB_LOCKED",
    "_duckdb.IOException: IO Error: Could not set lock on file 'x.duckdb': Resource temporarily unavailable",
  ],
  [
    "DUCKDB_TABLE_MISSING",
    'Catalog Error: Table with name orders does not exist!\nDid you mean "orders_old"?',
  ],
  [
    "DUCKDB_TABLE_MISSING",
    'duckdb.CatalogException: Catalog Error: Table with name "orders" already exists!',
  ],
  [
    "DUCKDB_COLUMN_MISSING",
    'Binder Error: Referenced column "amout" not found in FROM clause!\nCandidate bindings: "amount"',
  ],
  ["DUCKDB_COLUMN_MISSING", 'Binder Error: Table "orders" does not have a column with name "channel"'],
  ["DUCKDB_COLUMN_COUNT", "Binder Error: table orders has 5 columns but 4 values were supplied"],
  ["DUCKDB_COLUMN_COUNT", "duckdb.BinderException: table t has 1 columns but 2 values were supplied"],
  [
    "DUCKDB_NO_UNIQUE_INDEX",
    "Binder Error: The specified columns as conflict target are not referenced by a UNIQUE/PRIMARY KEY CONSTRAINT or INDEX",
  ],
  [
    "DUCKDB_NO_UNIQUE_INDEX",
    "duckdb.duckdb.BinderException: specified columns as conflict target are not referenced by a UNIQUE/PRIMARY KEY",
  ],
  ["DUCKDB_DUPLICATE_KEY", 'Constraint Error: Duplicate key "id: 1" violates primary key constraint.'],
  [
    "DUCKDB_DUPLICATE_KEY",
    'duckdb.ConstraintException: Constraint Error: Duplicate key "email: x" violates unique constraint',
  ],
  ["DUCKDB_NULL_IN_REQUIRED", "Constraint Error: NOT NULL constraint failed: orders.id"],
  ["DUCKDB_NULL_IN_REQUIRED", dlt("Constraint Error: NOT NULL constraint failed: items._dlt_id")],
  [
    "DUCKDB_SAME_KEY_TWICE_IN_BATCH",
    "Invalid Input Error: ON CONFLICT DO UPDATE can not update the same row twice in the same command",
  ],
  [
    "DUCKDB_SAME_KEY_TWICE_IN_BATCH",
    "duckdb: ON CONFLICT DO UPDATE can not update the same row twice. Ensure that no rows have duplicate values",
  ],
  [
    "DUCKDB_CONVERSION",
    "Conversion Error: Could not convert string 'n/a' to INT64 when casting from source column price",
  ],
  [
    "DUCKDB_CONVERSION",
    'Conversion Error: invalid timestamp field format: "31.12.2024", expected format is (YYYY-MM-DD HH:MM:SS[.US])',
  ],
  [
    "DUCKDB_OUT_OF_RANGE",
    "Conversion Error: Type INT64 with value 9999999999 can't be cast because the value is out of range for the destination type INT32",
  ],
  ["DUCKDB_OUT_OF_RANGE", "Invalid Input Error: value is out of range for the destination type UINT8"],
  ["DUCKDB_WRITE_CONFLICT", "TransactionContext Error: Conflict on update!"],
  ["DUCKDB_WRITE_CONFLICT", 'TransactionContext Error: Catalog write-write conflict on alter with "orders"'],
  [
    "DUCKDB_TRANSACTION_ABORTED",
    "TransactionContext Error: Current transaction is aborted (please ROLLBACK)",
  ],
  [
    "DUCKDB_TRANSACTION_ABORTED",
    "duckdb.TransactionException: TransactionContext Error: Current transaction is aborted (please ROLLBACK)",
  ],
  [
    "DUCKDB_OUT_OF_MEMORY",
    "Out of Memory Error: failed to allocate data of size 256.0 MiB (1.8 GiB/2.0 GiB used)",
  ],
  [
    "DUCKDB_OUT_OF_MEMORY",
    "duckdb.OutOfMemoryException: could not allocate block, failed to pin block of size 256.0 KiB",
  ],
  ["DUCKDB_SPILL_LIMIT", "IO Error: failed to offload data block of size 256.0 KiB (9.9 GiB/10.0 GiB used)"],
  ["DUCKDB_SPILL_LIMIT", "This limit was set by the 'max_temp_directory_size' setting."],
  [
    "DUCKDB_FILE_VERSION",
    "IO Error: Trying to read a database file with version number 64, but we can only read version 51.",
  ],
  [
    "DUCKDB_FILE_VERSION",
    "duckdb.duckdb.IOException: Trying to read a database file with version number 43, but we can only read versions between 64 and 65",
  ],
  [
    "DUCKDB_NOT_A_DATABASE",
    'IO Error: The file "/data/orders.csv" exists, but it is not a valid DuckDB database file!',
  ],
  ["DUCKDB_NOT_A_DATABASE", "duckdb: not a valid DuckDB database file"],
  [
    "DUCKDB_INVALIDATED",
    "FATAL Error: Failed: database has been invalidated because of a previous fatal error. The database must be restarted",
  ],
  [
    "DUCKDB_INVALIDATED",
    "duckdb.FatalException: FATAL Error: database has been invalidated because of a previous fatal error.",
  ],
  ["DUCKDB_CANNOT_OPEN", 'IO Error: Cannot open file "/srv/data/shop.duckdb": No such file or directory'],
  [
    "DUCKDB_CANNOT_OPEN",
    'IO Error: Cannot open database "/x/shop.duckdb" in read-only mode: database does not exist',
  ],
  ["DUCKDB_NO_FILES", 'IO Error: No files found that match the pattern "data/*.parquet"'],
  ["DUCKDB_NO_FILES", 'duckdb.IOException: No files found that match the pattern "s3://b/2024/*.csv"'],
  [
    "DUCKDB_CSV_DIALECT",
    'Invalid Input Error: Error when sniffing file "orders.csv".\nIt was not possible to automatically detect the CSV parsing dialect',
  ],
  ["DUCKDB_CSV_DIALECT", "It was not possible to automatically detect the CSV Parsing dialect/types"],
  [
    "DUCKDB_CSV_LINE",
    "Invalid Input Error: CSV Error on Line: 42\nInvalid unicode (byte sequence mismatch) detected.",
  ],
  ["DUCKDB_CSV_LINE", "Expected Number of Columns: 5 Found: 6"],
  ["DUCKDB_APPENDER", "Invalid Input Error: Call to EndRow before all columns have been appended to!"],
  ["DUCKDB_APPENDER", "Error: Failed to cast value: Could not append value"],
  [
    "DUCKDB_DEPENDENT_OBJECTS",
    'Dependency Error: Cannot alter entry "orders" because there are entries that depend on it.',
  ],
  [
    "DUCKDB_DEPENDENT_OBJECTS",
    "duckdb.DependencyException: Dependency Error: Cannot drop entry because other entries need it",
  ],
  // S3
  [
    "S3_NO_SUCH_BUCKET",
    "NoSuchBucket: The specified bucket does not exist\n    at ProtocolLib.getErrorSchemaOrThrowBaseException",
  ],
  [
    "S3_NO_SUCH_BUCKET",
    "botocore.errorfactory.NoSuchBucket: An error occurred when calling the ListObjectsV2 operation",
  ],
  ["S3_NO_SUCH_KEY", "NoSuchKey: The specified key does not exist."],
  ["S3_NO_SUCH_KEY", "NotFound: UnknownError { '$fault': 'client', '$metadata': { httpStatusCode: 404 } }"],
  ["S3_ACCESS_DENIED", "AccessDenied: Access Denied"],
  [
    "S3_ACCESS_DENIED",
    "botocore.exceptions.ClientError: An error occurred (AccessDenied) when calling the GetObject operation",
  ],
  [
    "S3_ACCESS_KEY_UNKNOWN",
    "InvalidAccessKeyId: The AWS Access Key Id you provided does not exist in our records.",
  ],
  [
    "S3_ACCESS_KEY_UNKNOWN",
    "An error occurred (InvalidAccessKeyId) when calling the ListObjectsV2 operation",
  ],
  [
    "S3_SIGNATURE",
    "SignatureDoesNotMatch: The request signature we calculated does not match the signature you provided.",
  ],
  ["S3_SIGNATURE", "<Error><Code>SignatureDoesNotMatch</Code></Error>"],
  [
    "S3_CLOCK",
    "RequestTimeTooSkewed: The difference between the request time and the current time is too large.",
  ],
  ["S3_CLOCK", "<Code>RequestTimeTooSkewed</Code><RequestTime>20240101</RequestTime>"],
  ["S3_TOKEN_EXPIRED", "ExpiredToken: The provided token has expired."],
  ["S3_TOKEN_EXPIRED", "ExpiredTokenException: The security token included in the request is expired"],
  [
    "S3_REGION",
    "AuthorizationHeaderMalformed: The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-central-1'",
  ],
  [
    "S3_REGION",
    "PermanentRedirect: The bucket you are attempting to access must be addressed using the specified endpoint.",
  ],
  ["S3_NO_CREDENTIALS", "CredentialsProviderError: Could not load credentials from any providers"],
  [
    "S3_NO_CREDENTIALS",
    "Error: Region is missing\n    at default (/app/node_modules/@smithy/config-resolver/dist-cjs/index.js:117:11)",
  ],
  ["S3_SLOW_DOWN", "SlowDown: Please reduce your request rate."],
  [
    "S3_SLOW_DOWN",
    "botocore.exceptions.ClientError: An error occurred (SlowDown) when calling the GetObject operation (reached max retries: 4)",
  ],
  ["S3_OBJECT_CHANGED", "PreconditionFailed: At least one of the pre-conditions you specified did not hold"],
  ["S3_OBJECT_CHANGED", "InvalidRange: The requested range is not satisfiable"],
  ["S3_ARCHIVED", "InvalidObjectState: The operation is not valid for the object's storage class"],
  ["S3_ARCHIVED", "An error occurred (InvalidObjectState) when calling the GetObject operation"],
  [
    "S3_NOT_XML",
    "Error: char '{' is not expected.:1:1\n  Deserialization error: to see the raw response, inspect the hidden field {error}.$response on this object.",
  ],
  ["S3_NOT_XML", "SyntaxError: char 'H' is not expected.:1:1"],
  [
    "S3_CHECKSUM_UNSUPPORTED",
    "NotImplemented: Header 'x-amz-checksum-crc32' with value 'AAAA' not implemented",
  ],
  [
    "S3_CHECKSUM_UNSUPPORTED",
    "NotImplemented: A header you provided implies functionality that is not implemented: x-amz-checksum-crc32",
  ],
  // HTTP and network
  [
    "HTTP_401",
    "requests.exceptions.HTTPError: 401 Client Error: Unauthorized for url: https://api.example.com/v1/orders",
  ],
  ["HTTP_401", 'GET /orders answered 401 {"error":"No Authentication Method Found"}'],
  ["HTTP_403", "HTTPError: 403 Client Error: Forbidden for url: https://api.example.com/report"],
  ["HTTP_403", 'Request failed with status code 403: {"message":"Out Of Realm"}'],
  ["HTTP_404", "AxiosError: Request failed with status code 404"],
  ["HTTP_404", "HTTP/1.1 404 Not Found"],
  ["HTTP_400", "requests.exceptions.HTTPError: 400 Client Error: Bad Request for url"],
  ["HTTP_400", 'Response status 422: {"detail":"range too long"}'],
  ["HTTP_429", "HTTP 429 Too Many Requests (Retry-After: 30)"],
  ["HTTP_429", "requests.exceptions.HTTPError: 429 Client Error"],
  ["HTTP_5XX", "502 Bad Gateway"],
  [
    "HTTP_5XX",
    "requests.exceptions.HTTPError: 503 Server Error: Service Unavailable for url: https://api.example.com",
  ],
  [
    "DNS_TEMPORARY",
    fetched(
      "Error: getaddrinfo EAI_AGAIN api.example.com\n      at GetAddrInfoReqWrap.onlookup [as oncomplete] (node:dns:122:26)",
    ),
  ],
  ["DNS_TEMPORARY", "socket.gaierror: [Errno -3] Temporary failure in name resolution"],
  ["DNS_UNKNOWN_HOST", fetched("Error: getaddrinfo ENOTFOUND api.exmaple.com")],
  [
    "DNS_UNKNOWN_HOST",
    "urllib3.exceptions.NameResolutionError: Failed to resolve 'api.exmaple.com' ([Errno -2] Name or service not known)",
  ],
  ["CONNECTION_RESET", fetched("SocketError: other side closed\n      code: 'UND_ERR_SOCKET'")],
  ["CONNECTION_RESET", "ConnectionResetError: [Errno 104] Connection reset by peer"],
  ["BODY_CUT", "TypeError: terminated\n    at Fetch.onAborted (node:internal/deps/undici/undici:11124:53)"],
  ["BODY_CUT", "http.client.IncompleteRead: IncompleteRead(512 bytes read, 1024 more expected)"],
  [
    "CONNECT_TIMEOUT",
    fetched(
      "ConnectTimeoutError: Connect Timeout Error (attempted address: api.example.com:443, timeout: 10000ms) { code: 'UND_ERR_CONNECT_TIMEOUT' }",
    ),
  ],
  ["CONNECT_TIMEOUT", "Error: connect ETIMEDOUT 93.184.216.34:443"],
  [
    "RESPONSE_TIMEOUT",
    fetched("HeadersTimeoutError: Headers Timeout Error { code: 'UND_ERR_HEADERS_TIMEOUT' }"),
  ],
  ["RESPONSE_TIMEOUT", "TimeoutError: The operation was aborted due to timeout"],
  [
    "TLS_CERTIFICATE",
    "Error: self-signed certificate in certificate chain { code: 'SELF_SIGNED_CERT_IN_CHAIN' }",
  ],
  [
    "TLS_CERTIFICATE",
    "ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer certificate",
  ],
  [
    "TLS_PROTOCOL",
    fetched(
      "Error: C08CD8:error:0A00010B:SSL routines:ssl3_get_record:wrong version number { code: 'ERR_SSL_WRONG_VERSION_NUMBER' }",
    ),
  ],
  ["TLS_PROTOCOL", "Error: Parse Error: Expected HTTP/ { code: 'HPE_INVALID_CONSTANT' }"],
  ["FETCH_FAILED", "TypeError: fetch failed"],
  [
    "FETCH_FAILED",
    "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='api.example.com', port=443): Max retries exceeded with url: /",
  ],
  // parsing
  ["JSON_IS_HTML", `SyntaxError: Unexpected token '<', "<!DOCTYPE "... is not valid JSON`],
  ["JSON_IS_HTML", "SyntaxError: Unexpected token < in JSON at position 0"],
  ["JSON_CUT", "SyntaxError: Unexpected end of JSON input"],
  ["JSON_CUT", "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)"],
  ["JSON_BOM_OR_NAN", `SyntaxError: Unexpected token 'N', ..."price": NaN"... is not valid JSON`],
  ["JSON_BOM_OR_NAN", "json.decoder.JSONDecodeError: Unexpected UTF-8 BOM (decode using utf-8-sig)"],
  [
    "JSON_IS_JSONL",
    "SyntaxError: Unexpected non-whitespace character after JSON at position 22 (line 2 column 1)",
  ],
  ["JSON_IS_JSONL", "json.decoder.JSONDecodeError: Extra data: line 2 column 1 (char 22)"],
  ["BIGINT_IN_JSON", "TypeError: Do not know how to serialize a BigInt"],
  ["BIGINT_IN_JSON", "TypeError: Do not know how to serialize a BigInt\n    at JSON.stringify (<anonymous>)"],
  [
    "CSV_COLUMNS",
    "CsvError: Invalid Record Length: columns length is 5, got 6 on line 3 { code: 'CSV_RECORD_INCONSISTENT_COLUMNS' }",
  ],
  [
    "CSV_COLUMNS",
    "pandas.errors.ParserError: Error tokenizing data. C error: Expected 5 fields in line 3, saw 6",
  ],
  [
    "CSV_QUOTES",
    "Error: Invalid Closing Quote: got \"a\" at line 2 instead of delimiter { code: 'CSV_INVALID_CLOSING_QUOTE' }",
  ],
  ["CSV_QUOTES", "CsvError: Quote Not Closed: the parsing is finished with an opening quote at line 10"],
  [
    "CSV_RECORD_SIZE",
    "CsvError: Max Record Size: record exceed the maximum number of tolerated bytes of 128000",
  ],
  ["CSV_RECORD_SIZE", "_csv.Error: field larger than field limit (131072)"],
  ["GZIP_BROKEN", "Error: incorrect header check { errno: -3, code: 'Z_DATA_ERROR' }"],
  ["GZIP_BROKEN", "gzip.BadGzipFile: Not a gzipped file (b'PK')"],
  // machine
  ["OUT_OF_MEMORY", "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory"],
  ["OUT_OF_MEMORY", "the container exited with code 137 (OOMKilled)"],
  ["DISK_FULL", "Error: ENOSPC: no space left on device, write"],
  ["DISK_FULL", "OSError: [Errno 28] No space left on device: '/data/x'"],
  ["FILE_PERMISSION", "Error: EACCES: permission denied, open '/data/state.json'"],
  ["FILE_PERMISSION", "PermissionError: [Errno 13] Permission denied: '/var/dlt'"],
  ["FILE_MISSING", "Error: ENOENT: no such file or directory, open 'data/orders.csv'"],
  ["FILE_MISSING", "FileNotFoundError: [Errno 2] No such file or directory: 'orders.csv'"],
  ["MODULE_MISSING", "Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'pg' imported from /app/run.js"],
  ["MODULE_MISSING", "ModuleNotFoundError: No module named 'psycopg2'"],
  // dlt
  [
    "DLT_STEP_FAILED",
    "dlt.pipeline.exceptions.PipelineStepFailed: Pipeline execution failed at step=extract when processing package",
  ],
  ["DLT_STEP_FAILED", "Pipeline execution failed at stage normalize with exception:"],
  ["DLT_JOB_FAILED", "dlt.load.exceptions.LoadClientJobFailed: Job for orders.5ea09d9679.insert_values"],
  ["DLT_JOB_FAILED", dlt("something that nobody has seen before")],
  [
    "DLT_JOB_RETRY",
    "LoadClientJobRetry: Job with job_id=orders.5ea09d9679 had 5 retries which is a multiple of max_retry_count 5",
  ],
  ["DLT_JOB_RETRY", "Job for orders had 10 retries which is a multiple of max_retry_count"],
  ["DLT_SCHEMA_TAMPERED", "dlt.load.exceptions.DestinationSchemaTampered: Schema shop"],
  [
    "DLT_SCHEMA_TAMPERED",
    "Schema `shop` content was changed - by a loader or by destination code - from the moment it was retrieved",
  ],
  [
    "COLUMN_TYPE_CONFLICT",
    "dlt.common.schema.exceptions.CannotCoerceColumnException: Cannot coerce type in table orders column id existing type bigint coerced type text",
  ],
  ["COLUMN_TYPE_CONFLICT", "Cannot coerce type `text` to `bigint` for value in table `orders`"],
  ["DLT_NULL_IN_REQUIRED", "Cannot coerce NULL in table `orders` column `id` which is not nullable"],
  ["DLT_NULL_IN_REQUIRED", python("dlt.common.schema.exceptions.CannotCoerceNullException: in table orders")],
  ["CONTRACT_VIOLATED", "dlt.common.schema.exceptions.DataValidationError: In schema shop: Table orders"],
  [
    "CONTRACT_VIOLATED",
    "Contract on `columns` with `contract_mode=freeze` is violated. Can't add table column `x`",
  ],
  [
    "DLT_CONFIG_MISSING",
    "dlt.common.configuration.exceptions.ConfigFieldMissingException: Missing 1 field(s) in configuration: `api_key`",
  ],
  [
    "DLT_CONFIG_MISSING",
    "Following fields are missing: 2 field(s) in configuration with spec PostgresCredentials",
  ],
  [
    "PENDING_PACKAGES",
    "The pipeline `run` method will now load the pending load packages. The pipeline contains pending extracted files or load packages",
  ],
  [
    "PENDING_PACKAGES",
    "dlt.pipeline.exceptions.PipelineHasPendingDataException: Operation refresh cannot be executed",
  ],
  [
    "DLT_CONNECTION_FAILED",
    "dlt.common.destination.exceptions.DestinationConnectionError: Connection with `client_type=PostgresClient` to `dataset_name=shop` failed",
  ],
  [
    "DLT_CONNECTION_FAILED",
    "Connection with client_type=DuckDbClient to dataset_name=x failed. Please check if you configured the credentials at all",
  ],
  ["DATASET_DROPPED", "dlt.destinations.exceptions.DatabaseUndefinedRelation: orders"],
  [
    "DATASET_DROPPED",
    python(
      'psycopg2.errors.UndefinedTable: relation "shop.orders" does not exist\n\nDuring handling: dlt.destinations.exceptions.DatabaseUndefinedRelation',
    ),
  ],
  ["DLT_TABLE_NOT_FOUND", "dlt.common.schema.exceptions.TableNotFound: Table not found: orders"],
  ["DLT_TABLE_NOT_FOUND", "SchemaCorruptedException: Schema shop: Parent table of items not found"],
  [
    "MERGE_KEY_MISSING",
    "No primary key defined for table `orders` but write disposition is merge with strategy upsert",
  ],
  [
    "MERGE_KEY_MISSING",
    "Table orders has write_disposition merge but no primary or merge keys defined. We will fall back to append",
  ],
  [
    "NAMES_COLLIDE",
    "A column name `ID` in table `orders` collides with `Id` after normalization with snake_case",
  ],
  ["NAMES_COLLIDE", "column name eMail collides with email after normalization"],
  [
    "KEY_COLUMN_WITHOUT_DATA",
    "dlt.common.schema.exceptions.UnboundColumnException: The column oder_id in table orders",
  ],
  [
    "KEY_COLUMN_WITHOUT_DATA",
    "The column order_id in table orders did not receive any data during this load",
  ],
  ["CURSOR_FIELD_MISSING", "Cursor element with JSON path `updated_at` was not found in extracted data item"],
  ["CURSOR_FIELD_MISSING", python("dlt.extract.incremental.exceptions.IncrementalCursorPathMissing: orders")],
  ["CURSOR_FIELD_NULL", "Cursor element with JSON path updated_at has the value None"],
  ["CURSOR_FIELD_NULL", "IncrementalCursorPathHasValueNone: In processing pipe orders"],
  [
    "CURSOR_TYPE_CHANGED",
    "dlt.extract.incremental.exceptions.IncrementalCursorInvalidCoercion: In processing pipe orders",
  ],
  [
    "CURSOR_TYPE_CHANGED",
    "Could not coerce `initial_value` with value 2024-01-01 and type str to actual data item updated_at",
  ],
  ["CURSOR_TIME_ZONE", "TypeError: can't compare offset-naive and offset-aware datetimes"],
  ["CURSOR_TIME_ZONE", "TypeError: '>' not supported between instances of 'DateTime' and 'str'"],
  ["STATE_TOO_NEW", "No engine upgrade path for schema shop from 12 to 11"],
  [
    "STATE_TOO_NEW",
    "CannotRestorePipelineException: Pipeline with name shop in working directory could not be restored",
  ],
  // wrong data without an error
  ["RESULT_CAPPED", "the report has exactly 10,000 rows every day"],
  ["RESULT_CAPPED", 'the API answers "incomplete_results": true'],
  ["TIME_ZONE_SHIFT", "our totals differ from the UI by a few hours of data"],
  ["TIME_ZONE_SHIFT", "all values are shifted by 5 hours"],
  ["PARAMETER_IGNORED", "I pass a filter but the filter is ignored"],
  ["PARAMETER_IGNORED", "the API ignores the filter and returns an ungrouped report"],
  ["LATE_CHANGES", "old days drift away from the source"],
  ["LATE_CHANGES", "the numbers for last week changed because of late conversions"],
  ["ROWS_DOUBLED", "why are there duplicate rows in orders?"],
  ["ROWS_DOUBLED", "after the second run the rows are doubled"],
  ["ROWS_SKIPPED", "rows are missing since Tuesday"],
  ["ROWS_SKIPPED", "the run succeeds but new rows do not arrive"],
  ["LOAD_PARTIAL", "the table is half-loaded since the crash"],
  ["LOAD_PARTIAL", "PackageStatus: partially loaded, 3 of 5 jobs completed"],
  ["CSV_HEADER_WRONG", "the table's first column is called \\ufeffid"],
  ["CSV_HEADER_WRONG", "there is only one column, with a semicolon in its name"],
  // this engine
  [
    "PACKAGE_CORRUPT",
    '{"code":"PACKAGE_CORRUPT","message":"Package 1700000000.1: manifest.json is not JSON."}',
  ],
  ["DESTINATION_LOCKED", "DESTINATION_LOCKED: The database file is held open by python3 (PID 4711)."],
  ["PROCESS_ENDED", "Run failed. PROCESS_ENDED: the process of the run ended without a report"],
  ["FILE_ENCODING", "FILE_ENCODING: data/orders.csv is not UTF-8 at line 3"],
];

/** Nothing of these is an error that the catalogue knows. */
export const UNRELATED: readonly string[] = [
  "",
  "hello",
  "What tables do I have?",
  "Please summarize yesterday's sales by channel.",
  "The meeting is at 401 Main Street, room 403, on floor 5.",
  "Processed 23505 rows in 42.1 s, 22003 of them new.",
  "zip code 23502, county code 54011",
  "Order 42501 was shipped; order 42703 was not.",
  "404 items sold, 500 left in stock",
  "INFO load finished: 503 rows, 200 ms",
  "select code, count(*) from errors group by code",
  "def extract(self): return self.client.get('/orders')",
  "Build succeeded in 12 s",
  "npm notice New major version of npm available! 10.8.2 -> 11.0.0",
  "warning: unused variable `x`",
  "git push rejected: non-fast-forward",
  "error TS2345: Argument of type 'string' is not assignable to parameter of type 'number'.",
  "NullPointerException at com.example.Main.run(Main.java:17)",
  "IndexError: list index out of bounds",
  "KeyError: 'customer'",
  "AttributeError: 'NoneType' object has no attribute 'get'",
  "TypeError: Cannot read properties of undefined (reading 'map')",
  "ReferenceError: window is not defined",
  "Segmentation fault (core dumped)",
  "docker: Error response from daemon: Conflict. The container name is already in use",
  "kubectl: deployment rolled out",
  "ORA-01017: invalid username/password; logon denied",
  "The quick brown fox jumps over the lazy dog.",
  "2024-01-01T00:00:00Z INFO starting",
  '{"status":"ok","rows":17}',
  "Die Rechnung ist überfällig.",
  "How do I write a paginator for a page number API?",
  "The customer asked for a refund of 429 euros.",
  "assert 3 == 4",
  "ZeroDivisionError: division by zero",
  "RecursionError: maximum recursion depth exceeded",
  "make: *** No rule to make target 'all'. Stop.",
  "fatal: not a git repository (or any of the parent directories): .git",
  "The chart should be blue, and the header too.",
  "Lorem ipsum dolor sit amet, consectetur adipiscing elit.",
  "java.lang.OutOfMemory is what the slide says, but nothing failed",
  "The lock on the front door is broken.",
  "npm ERR! code ERESOLVE",
  "npm ERR! ERESOLVE unable to resolve dependency tree",
  'Warning: Each child in a list should have a unique "key" prop. Check the render method of App.',
  "fatal: refusing to merge unrelated histories",
  "error: failed to push some refs to 'github.com:acme/site.git'",
  "panic: runtime error: index out of range [3] with length 3",
  "thread 'main' panicked at src/main.rs:14:10: called Option::unwrap() on a None value",
  'java.lang.NullPointerException: Cannot invoke "String.length()" because "s" is null',
  "kubelet: Back-off restarting failed container api in pod api-7c9",
  "Error: EMFILE: too many open files, watch",
  "docker: Error response from daemon: pull access denied for acme/api",
  "make: *** [Makefile:12: build] Error 2",
  "ld: symbol(s) not found for architecture arm64",
  "UnboundLocalError: cannot access local variable 'total' where it is not associated with a value",
  "AttributeError: 'NoneType' object has no attribute 'group'",
  "ReferenceError: process is not defined",
  "RecursionError: maximum recursion depth exceeded while calling a Python object",
  "IndentationError: unexpected indent",
  "AssertionError: expected 3 to equal 4",
  "jest: Test suite failed to run. Your test suite must contain at least one test.",
  "ResizeObserver loop completed with undelivered notifications.",
  "Access to fetch at 'https://a.example' from origin 'https://b.example' has been blocked by CORS policy",
  "ORA-00942: table or view does not exist",
  "SQL compilation error: Object 'DB.RAW.ORDERS' does not exist or not authorized.",
  "ERROR 1045 (28000): Access denied for user 'root'@'localhost' (using password: YES)",
  'MongoServerError: E11000 duplicate key error collection: app.users index: email_1 dup key: { email: "x" }',
  "redis.exceptions.ResponseError: WRONGTYPE Operation against a key holding the wrong kind of value",
  "kafka.errors.NoBrokersAvailable: NoBrokersAvailable",
  "google.api_core.exceptions.BadRequest: 400 Syntax error: Unexpected keyword FROM at [1:8]",
  "The pipeline finished in 12 seconds and loaded 4,812 rows.",
  "Please rename the column order_id to id in the orders table.",
  "How do I add a new resource to the shop source?",
  "We had 401 new customers and 403 returns last week; 429 tickets are open.",
  "Room 404 is on the fourth floor, next to 503.",
  "select count(*) from orders where status = 'failed' and code = '42P01'",
  "The lock on the front door was replaced because the key was duplicated.",
  "Users complain that the timeout of the login page is too short.",
  "2024-05-01T10:00:00Z INFO server started on port 5432",
  "Our S3 bill went up; can we archive old objects?",
  "Deadline exceeded the budget by 3 days.",
  "CSS: Unknown property 'colr'. Declaration dropped.",
  "The deadlock in the negotiations was detected by the press.",
  "invalid date for the meeting, let us take Tuesday",
  "git merge conflict in src/pipeline.ts",
  "ffmpeg: Invalid data found when processing input",
  "Xcode: Command PhaseScriptExecution failed with a nonzero exit code",
];

interface SeenError {
  /** Any of these is right: some messages leave it open which of two things went wrong. */
  readonly codes: readonly string[];
  readonly from: "provoked" | "reported";
  readonly text: string;
}

/**
 * Errors that servers and libraries really printed: provoked in Postgres, PgBouncer, DuckDB, Node.js, an S3 server and dlt
 * 1.31, or reported by users of them. The catalogue was written without them; stack frames are cut.
 */
export const SEEN_ERRORS: readonly SeenError[] = JSON.parse(
  readFileSync(new URL("errors-in-the-wild.json", import.meta.url), "utf8"),
) as SeenError[];
