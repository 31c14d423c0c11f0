#!/usr/bin/env perl
# A WebSocket peer made of Mojolicious, with compression. README.md beside this file defines its role.
use Mojolicious::Lite -signatures;
use Mojo::IOLoop;
use Mojo::Server::Daemon;
use Mojo::Util 'encode';

die "usage: mojolicious_peer.pl drive\n" unless "@ARGV" eq 'drive';
app->log->level('fatal');

my $json     = encode 'UTF-8', '{"name": "Ada", "says": "Grüße, 世界! 🦀"}, ' x 2_000;
my $binary   = join '', map { chr($_ * 31 % 251) } 0 .. (1 << 20) - 1;
my @messages = (({text => 'hello'}, {text => ''}, {text => $json}, {binary => $binary}, {text => 'goodbye'}) x 2);
my $failure  = 'no connection came to its end';

websocket '/' => sub ($c) {
  $c->tx->max_websocket_size(2 << 20)->with_compression;
  my @left = @messages;
  my $next = sub { @left ? $c->send($left[0]) : $c->finish(1000) };
  my $echo = sub ($kind, $payload) {
    my $sent = shift @left;
    return end('another echo than expected') unless $sent && defined $sent->{$kind} && $sent->{$kind} eq $payload;
    $next->();
  };
  for my $kind ('text', 'binary') {
    $c->on($kind => sub ($, $payload) { $echo->($kind, $payload) });
  }
  $c->on(finish => sub ($, $code, $reason) { end(@left || $code != 1000 ? "closed with $code" : undef) });
  $next->();
};

sub end ($result) {
  $failure = $result;
  Mojo::IOLoop->stop;
}

my $daemon = Mojo::Server::Daemon->new(app => app, listen => ['http://127.0.0.1'], silent => 1);
$| = 1;
print 'listening on ws://127.0.0.1:', $daemon->start->ports->[0], "/\n";
Mojo::IOLoop->start;
die "$failure\n" if defined $failure;
