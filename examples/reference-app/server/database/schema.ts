/**
 * The schema, as a list of steps that only ever grows. Each step must work beside the code of the release
 * before it (add first, use later, remove last), because two releases run side by side during a deploy.
 */
export const migrations: readonly string[] = [
  `
  create table companies (
    id uuid primary key default gen_random_uuid(),
    name text not null check (length(name) between 2 and 80),
    created_at timestamptz not null default now()
  );

  create table accounts (
    id uuid primary key default gen_random_uuid(),
    email text not null unique check (email = lower(email) and length(email) <= 254),
    password_hash text not null,
    name text not null check (length(name) between 1 and 80),
    role text not null check (role in ('seeker', 'employer')),
    company_id uuid references companies,
    created_at timestamptz not null default now(),
    check ((role = 'employer') = (company_id is not null))
  );

  create table jobs (
    id uuid primary key default gen_random_uuid(),
    company_id uuid not null references companies,
    -- The company's name as of posting: search reads it without a join.
    company text not null,
    title text not null,
    description text not null,
    island text not null,
    place text not null,
    trade text not null,
    type text not null check (type in ('full-time', 'part-time', 'contract', 'seasonal')),
    remote boolean not null,
    pay_from integer not null check (pay_from >= 0),
    pay_to integer not null check (pay_to >= pay_from),
    status text not null default 'open' check (status in ('open', 'closed')),
    posted_at timestamptz not null default now(),
    closes_at timestamptz,
    search tsvector not null generated always as (
      setweight(to_tsvector('english', title), 'A') ||
      setweight(to_tsvector('english', company || ' ' || trade), 'B') ||
      setweight(to_tsvector('english', place || ' ' || island), 'C') ||
      setweight(to_tsvector('english', description), 'D')
    ) stored
  );
  create index jobs_newest on jobs (posted_at desc, id desc) where status = 'open';
  create index jobs_search on jobs using gin (search) where status = 'open';
  create index jobs_company on jobs (company_id, posted_at desc);
  create index jobs_similar on jobs (trade, island, posted_at desc) where status = 'open';

  create table applications (
    id uuid primary key default gen_random_uuid(),
    job_id uuid not null references jobs,
    applicant_id uuid not null references accounts,
    status text not null default 'new' check (status in ('new', 'reviewing', 'interview', 'offer', 'closed')),
    version integer not null default 1,
    note text not null,
    resume_key text not null,
    resume_name text not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    -- Applying twice, by a double click or a retry, is the same application.
    unique (job_id, applicant_id)
  );
  create index applications_applicant on applications (applicant_id, created_at desc);

  create table notifications (
    id uuid primary key default gen_random_uuid(),
    account_id uuid not null references accounts,
    kind text not null check (kind in ('application-received', 'application-status')),
    text text not null,
    href text not null,
    created_at timestamptz not null default now(),
    read_at timestamptz
  );
  create index notifications_newest on notifications (account_id, created_at desc);
  `,
]
