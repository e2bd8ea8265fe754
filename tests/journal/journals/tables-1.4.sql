-- PostgreSQL
CREATE TABLE dialogtech_accounts (
	account VARCHAR(64) NOT NULL,
	extra_margin FLOAT(53) NOT NULL,
	widened_until FLOAT(53) NOT NULL,
	paused_until FLOAT(53) NOT NULL,
	usual_latency FLOAT(53) NOT NULL,
	unknown_until FLOAT(53) DEFAULT '0' NOT NULL,
	clock_set_by FLOAT(53) DEFAULT '0' NOT NULL,
	PRIMARY KEY (account)
)
CREATE TABLE dialogtech_alert_grants (
	claim VARCHAR(32) NOT NULL,
	recipient VARCHAR(64) NOT NULL,
	at FLOAT(53) NOT NULL,
	PRIMARY KEY (claim)
)
CREATE INDEX dialogtech_alert_grants_recipient_at ON dialogtech_alert_grants (recipient, at)
CREATE TABLE dialogtech_alerts (
	key VARCHAR(64) NOT NULL,
	claim VARCHAR(32),
	claimed_at FLOAT(53) NOT NULL,
	cooldown_ends FLOAT(53) NOT NULL,
	reported INTEGER NOT NULL,
	reported_since FLOAT(53),
	suppressed INTEGER NOT NULL,
	suppressed_since FLOAT(53),
	message_key VARCHAR(64) DEFAULT '' NOT NULL,
	last_suppressed VARCHAR(32) DEFAULT '' NOT NULL,
	failures INTEGER DEFAULT '0' NOT NULL,
	failing_since FLOAT(53),
	sent_before INTEGER DEFAULT '0' NOT NULL,
	about VARCHAR(64) DEFAULT '' NOT NULL,
	resolution VARCHAR(32) DEFAULT '' NOT NULL,
	PRIMARY KEY (key)
)
CREATE INDEX dialogtech_alerts_cooldown_ends ON dialogtech_alerts (cooldown_ends)
CREATE INDEX dialogtech_alerts_suppressed ON dialogtech_alerts (suppressed) WHERE suppressed > 0
CREATE TABLE dialogtech_journal (
	version INTEGER NOT NULL
)
CREATE TABLE dialogtech_messages (
	id SERIAL NOT NULL,
	account VARCHAR(64) NOT NULL,
	number VARCHAR(64) NOT NULL,
	at FLOAT(53) NOT NULL,
	state VARCHAR(16) NOT NULL,
	key VARCHAR(64),
	owner VARCHAR(32) NOT NULL,
	digest VARCHAR(64) NOT NULL,
	recipient_tail VARCHAR(4) NOT NULL,
	detail TEXT NOT NULL,
	deadline FLOAT(53) NOT NULL,
	created FLOAT(53) NOT NULL,
	updated FLOAT(53) NOT NULL,
	recipient VARCHAR(64) DEFAULT '' NOT NULL,
	priority INTEGER DEFAULT '0' NOT NULL,
	displaced INTEGER DEFAULT '0' NOT NULL,
	dag_id VARCHAR(250) DEFAULT '' NOT NULL,
	run_id VARCHAR(250) DEFAULT '' NOT NULL,
	task_id VARCHAR(250) DEFAULT '' NOT NULL,
	map_index INTEGER DEFAULT '-1' NOT NULL,
	namespace VARCHAR(250) DEFAULT '' NOT NULL,
	loop_index INTEGER DEFAULT '-1' NOT NULL,
	body_key VARCHAR(64),
	PRIMARY KEY (id),
	UNIQUE (key)
)
CREATE INDEX dialogtech_messages_account_at ON dialogtech_messages (account, at)
CREATE INDEX dialogtech_messages_alerts ON dialogtech_messages (at) WHERE priority = 1
CREATE INDEX dialogtech_messages_at ON dialogtech_messages (at)
CREATE INDEX dialogtech_messages_body_key ON dialogtech_messages (body_key) WHERE body_key IS NOT NULL
CREATE INDEX dialogtech_messages_dag_at ON dialogtech_messages (dag_id, at)
CREATE INDEX dialogtech_messages_namespace_at ON dialogtech_messages (namespace, at)
CREATE INDEX dialogtech_messages_not_sent ON dialogtech_messages (state, at, dag_id, task_id, namespace) WHERE state <> 'sent'
CREATE INDEX dialogtech_messages_number_at ON dialogtech_messages (account, number, at, state, created) WHERE false
CREATE INDEX dialogtech_messages_run_at ON dialogtech_messages (run_id, at)
CREATE INDEX dialogtech_messages_task_dag_at ON dialogtech_messages (namespace, task_id, dag_id, at)
-- SQLite
CREATE TABLE dialogtech_accounts (
	account VARCHAR(64) NOT NULL,
	extra_margin FLOAT NOT NULL,
	widened_until FLOAT NOT NULL,
	paused_until FLOAT NOT NULL,
	usual_latency FLOAT NOT NULL,
	unknown_until FLOAT DEFAULT '0' NOT NULL,
	clock_set_by FLOAT DEFAULT '0' NOT NULL,
	PRIMARY KEY (account)
)
CREATE TABLE dialogtech_alert_grants (
	claim VARCHAR(32) NOT NULL,
	recipient VARCHAR(64) NOT NULL,
	at FLOAT NOT NULL,
	PRIMARY KEY (claim)
)
CREATE INDEX dialogtech_alert_grants_recipient_at ON dialogtech_alert_grants (recipient, at)
CREATE TABLE dialogtech_alerts (
	"key" VARCHAR(64) NOT NULL,
	claim VARCHAR(32),
	claimed_at FLOAT NOT NULL,
	cooldown_ends FLOAT NOT NULL,
	reported INTEGER NOT NULL,
	reported_since FLOAT,
	suppressed INTEGER NOT NULL,
	suppressed_since FLOAT,
	message_key VARCHAR(64) DEFAULT '' NOT NULL,
	last_suppressed VARCHAR(32) DEFAULT '' NOT NULL,
	failures INTEGER DEFAULT '0' NOT NULL,
	failing_since FLOAT,
	sent_before INTEGER DEFAULT '0' NOT NULL,
	about VARCHAR(64) DEFAULT '' NOT NULL,
	resolution VARCHAR(32) DEFAULT '' NOT NULL,
	PRIMARY KEY ("key")
)
CREATE INDEX dialogtech_alerts_cooldown_ends ON dialogtech_alerts (cooldown_ends)
CREATE INDEX dialogtech_alerts_suppressed ON dialogtech_alerts (suppressed) WHERE suppressed > 0
CREATE TABLE dialogtech_journal (
	version INTEGER NOT NULL
)
CREATE TABLE dialogtech_messages (
	id INTEGER NOT NULL,
	account VARCHAR(64) NOT NULL,
	number VARCHAR(64) NOT NULL,
	at FLOAT NOT NULL,
	state VARCHAR(16) NOT NULL,
	"key" VARCHAR(64),
	owner VARCHAR(32) NOT NULL,
	digest VARCHAR(64) NOT NULL,
	recipient_tail VARCHAR(4) NOT NULL,
	detail TEXT NOT NULL,
	deadline FLOAT NOT NULL,
	created FLOAT NOT NULL,
	updated FLOAT NOT NULL,
	recipient VARCHAR(64) DEFAULT '' NOT NULL,
	priority INTEGER DEFAULT '0' NOT NULL,
	displaced INTEGER DEFAULT '0' NOT NULL,
	dag_id VARCHAR(250) DEFAULT '' NOT NULL,
	run_id VARCHAR(250) DEFAULT '' NOT NULL,
	task_id VARCHAR(250) DEFAULT '' NOT NULL,
	map_index INTEGER DEFAULT '-1' NOT NULL,
	namespace VARCHAR(250) DEFAULT '' NOT NULL,
	loop_index INTEGER DEFAULT '-1' NOT NULL,
	body_key VARCHAR(64),
	PRIMARY KEY (id),
	UNIQUE ("key")
)
CREATE INDEX dialogtech_messages_account_at ON dialogtech_messages (account, at)
CREATE INDEX dialogtech_messages_alerts ON dialogtech_messages (at) WHERE priority = 1
CREATE INDEX dialogtech_messages_at ON dialogtech_messages (at)
CREATE INDEX dialogtech_messages_body_key ON dialogtech_messages (body_key) WHERE body_key IS NOT NULL
CREATE INDEX dialogtech_messages_dag_at ON dialogtech_messages (dag_id, at)
CREATE INDEX dialogtech_messages_namespace_at ON dialogtech_messages (namespace, at)
CREATE INDEX dialogtech_messages_not_sent ON dialogtech_messages (state, at, dag_id, task_id, namespace) WHERE state <> 'sent'
CREATE INDEX dialogtech_messages_number_at ON dialogtech_messages (account, number, at, state, created)
CREATE INDEX dialogtech_messages_run_at ON dialogtech_messages (run_id, at)
CREATE INDEX dialogtech_messages_task_dag_at ON dialogtech_messages (namespace, task_id, dag_id, at)
